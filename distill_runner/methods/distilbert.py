"""DistilBERT's pre-training (Sanh et al. 2019): a student of some teacher layers.

    distill-run method=distilbert teacher=bert student=distilbert \\
        dataset.unlabelled.path=corpus.jsonl

The teacher is the model before its fine-tuning, with the masked-LM head of its checkpoint. A
checkpoint without that head, such as those of sentence-transformers, has no distribution over
words to teach, and a fresh head would be untrained: `a_ce` above 0 is refused there. The student
can still learn from the hidden words and from the teacher's states.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from distill_runner.config.schema.rules import ABOVE_0, AT_LEAST_0, SHARE_INSIDE
from distill_runner.errors import Refused
from distill_runner.methods.base import (
    Algorithm,
    Attachment,
    Needs,
    OfferedRows,
    Passes,
    RowChoice,
    StartingStudent,
    Update,
    require,
)
from distill_runner.methods.batch import Batch
from distill_runner.models import language
from distill_runner.objectives.tokens import cosine_distance, masked_word_loss, token_kl
from distill_runner.planning.stage_context import Context
from distill_runner.tasks.base import Task


@dataclass(frozen=True)
class Words:
    """The logits and targets of the tokens that are decoded."""

    student_logits: Tensor  # [decoded, vocabulary]
    targets: Tensor  # [decoded], ids of the hidden words, below 0 where none is hidden
    teacher_logits: Tensor | None  # [decoded, vocabulary]; None where a_ce is 0


@dataclass(frozen=True, kw_only=True)
class TripleLoss(Algorithm):
    """The triple loss, on texts without labels.

        L = a_ce·T²·KL(t‖s) + a_mlm·CE(hidden words, s) + a_cos·(1 − cos(h_s, h_t))

    Here s and t are logits over the vocabulary, and h_s and h_t the last hidden states. Each
    term is a mean over tokens: the first and the third over all tokens but padding, the second
    over the hidden ones.

    Args:
        temperature: T > 0, of the first term.
        a_ce, a_mlm, a_cos: weights of the three terms, 0 or more, not all 0.
        restrict_ce_to_mask: take the first term over the hidden tokens only.
        mask_share: share of the tokens to hide, above 0 and below 1.

    Raises:
        Refused: a setting is out of range.
    """

    id: ClassVar[str] = "distilbert_pretraining"
    needs: ClassVar[Needs] = Needs(language=True, labels=False)
    passes: ClassVar[Passes] = Passes(student=3, teacher=1)
    # The loss is a mean over tokens, so a row's weight would depend on its micro-batch.
    accumulates: ClassVar[bool] = False

    temperature: float = field(metadata=ABOVE_0)
    a_ce: float = field(metadata=AT_LEAST_0)
    a_mlm: float = field(metadata=AT_LEAST_0)
    a_cos: float = field(metadata=AT_LEAST_0)
    restrict_ce_to_mask: bool
    mask_share: float = field(metadata=SHARE_INSIDE)

    def __post_init__(self) -> None:
        super().__post_init__()
        weights = (self.a_ce, self.a_mlm, self.a_cos)
        require(any(weights), key="a_ce", value=self.a_ce, rule="one of the three above 0")

    def unread_settings(self) -> tuple[str, ...]:
        return () if self.a_ce else ("temperature", "restrict_ce_to_mask")

    def formula(self, task: Task) -> str:  # noqa: ARG002
        where = ", at the hidden words" if self.restrict_ce_to_mask else ""
        softened = f"{self.temperature:g}²·KL(t‖s, T={self.temperature:g}{where})"
        terms = {
            f"{self.a_ce:g}·{softened}": self.a_ce,
            f"{self.a_mlm:g}·CE(hidden words, s)": self.a_mlm,
            f"{self.a_cos:g}·(1 − cos(h_s, h_t))": self.a_cos,
        }
        return "L = " + " + ".join(term for term, weight in terms.items() if weight)

    def check(self, context: Context) -> None:
        models = context.models
        if models is None:
            return
        if self.a_ce and not models.teacher_has_language_head:
            raise Refused(
                "The teacher's checkpoint has no masked-LM head: it has no distribution over "
                "words to teach.",
                key="method.a_ce",
                value=self.a_ce,
                rule="0, or a checkpoint that was saved with its head, such as bert-base-uncased",
                way_out="method.a_ce=0, or another teacher",
            )
        if self.a_cos and not models.teacher_is_as_wide:
            raise Refused(
                "The student's states are not as wide as the teacher's.",
                key="method.a_cos",
                value=self.a_cos,
                rule="0, or a student of the teacher's width",
                way_out="method.a_cos=0",
            )

    def prepare(self, student: StartingStudent) -> Sequence[Attachment]:
        language.attach(student.learner.module, student.language_head())
        return ()

    def rows(self, offered: OfferedRows) -> RowChoice:  # noqa: ARG002
        return RowChoice(hidden_words=self.mask_share)

    def updates(self, batch: Batch) -> Iterator[Update]:
        ours, theirs, targets = batch.student_states(), batch.teacher_states(), batch.hidden_words()
        # Decoding is the expensive part, so only tokens that teach something are decoded.
        everywhere = self.a_ce > 0 and not self.restrict_ce_to_mask
        decoded = torch.ones_like(targets, dtype=torch.bool) if everywhere else targets >= 0
        words = Words(
            batch.student_words(ours[decoded]),
            targets[decoded],
            batch.teacher_words(theirs[decoded]) if self.a_ce else None,
        )
        loss, terms = self.loss(words, ours, theirs)
        yield Update("student", loss, terms)

    def loss(self, words: Words, ours: Tensor, theirs: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted sum of the terms, and each term unweighted and detached.

        Args:
            words: logits and targets of the decoded tokens.
            ours, theirs: last hidden states of student and teacher, [tokens, width].
        """
        parts: dict[str, tuple[float, Tensor]] = {}
        if words.teacher_logits is not None:
            soft = token_kl(words.student_logits, words.teacher_logits, self.temperature)
            parts["words"] = self.a_ce, soft
        if self.a_mlm:
            hidden = words.targets >= 0
            found = masked_word_loss(words.student_logits[hidden], words.targets[hidden])
            parts["hidden_words"] = self.a_mlm, found
        if self.a_cos:
            parts["states"] = self.a_cos, cosine_distance(ours, theirs)
        loss = torch.stack([weight * part for weight, part in parts.values()]).sum()
        return loss, {name: part.detach() for name, (_, part) in parts.items()}
