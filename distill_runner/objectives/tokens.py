"""Losses on the tokens of a text that student and teacher both read: pure functions.

Notation: N tokens of a whole batch, padding left out; h states; z logits over the vocabulary.
`token_kl` and `masked_word_loss` are 0 without tokens. The terms are those of DistilBERT
(Sanh et al. 2019).
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from distill_runner.objectives.logits import kl


def token_kl(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Return `logits.kl` with tokens as rows and words as classes.

        L = T² · mean_n KL( p(z_t,n, T) ‖ p(z_s,n, T) )

    Args:
        student_logits, teacher_logits: [tokens, vocabulary].
        temperature: T > 0.
    """
    if not len(student_logits):
        return student_logits.sum()
    return kl(student_logits, teacher_logits, temperature)


def masked_word_loss(student_logits: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy with the hidden words.

        L = mean_n −log p(z_s,n, 1)[y_n]

    Args:
        student_logits: [hidden tokens, vocabulary].
        targets: [hidden tokens], word ids.
    """
    return F.cross_entropy(student_logits, targets, reduction="sum") / max(len(targets), 1)


def cosine_distance(student_states: Tensor, teacher_states: Tensor) -> Tensor:
    """Return the mean cosine distance between the student's and the teacher's states, 0..2.

        L = mean_n 1 − cos( h_s,n, h_t,n )

    Args:
        student_states, teacher_states: [tokens, width].
    """
    return (1 - F.cosine_similarity(student_states, teacher_states, dim=-1)).mean()
