"""Losses on logits: pure functions, each with its equation.

Notation: B batch, C classes, z_s and z_t logits, p(z, T) = softmax(z / T), y labels.
`batchmean` sums over classes and averages over the batch. `elementwise mean` also divides by C,
so an alpha that was tuned for one does not suit the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from distill_runner.errors import Refused
from distill_runner.objectives.comparisons import DISTRIBUTIONS, RAW_LOGITS, SIGMOIDS
from distill_runner.objectives.shapes import check_shapes
from distill_runner.objectives.sigmoids import soft_binary_cross_entropy


def cross_entropy(student_logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy with the true class at T = 1.

        L = mean_b −log p(z_s,b, 1)[y_b]

    Args:
        student_logits: [batch, classes].
        labels: [batch], class indices.

    Returns:
        Scalar, in nats.
    """
    return F.cross_entropy(student_logits, labels)


def squared_error(student_logits: Tensor, labels: Tensor) -> Tensor:
    """Return the squared error of the single output.

        L = mean_b ( z_s,b − y_b )²

    Args:
        student_logits: [batch, 1].
        labels: [batch], scores.

    Returns:
        Scalar, in the scores' unit squared.
    """
    return F.mse_loss(student_logits[..., 0], labels.to(student_logits.dtype))


def kl(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Return the KL divergence of the student from the teacher's softened distribution.

        L = T² · mean_b KL( p(z_t,b, T) ‖ p(z_s,b, T) )

    This is the canonical soft loss. T² keeps the gradient's scale as T grows (Hinton et al. 2015,
    section 2).

    Args:
        student_logits: [batch, classes].
        teacher_logits: [batch, classes]; not detached, as bi-level methods need its gradient.
        temperature: T > 0; 1 leaves the distributions as they are.

    Returns:
        Scalar, in nats times T²; 0 if the two distributions agree.

    Raises:
        ValueError: the two shapes differ.
    """
    check_shapes(student_logits, teacher_logits)
    student_log_probs = F.log_softmax(student_logits / temperature, dim=-1)
    teacher_log_probs = F.log_softmax(teacher_logits / temperature, dim=-1)
    # batchmean: the default "mean" would also divide by the number of classes.
    return temperature**2 * F.kl_div(
        student_log_probs, teacher_log_probs, reduction="batchmean", log_target=True
    )


def kl_elementwise(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Return `kl` averaged over classes too, as the code of PKD and TAKD does.

    L = T² / C · mean_b KL( p(z_t,b, T) ‖ p(z_s,b, T) )
    """
    return kl(student_logits, teacher_logits, temperature) / student_logits.shape[-1]


def soft_cross_entropy(
    student_logits: Tensor, teacher_logits: Tensor, temperature: float
) -> Tensor:
    """Return Hinton's first objective: cross-entropy with the soft targets, times T².

        L = T² · mean_b −Σ_c p(z_t,b, T)[c] · log p(z_s,b, T)[c]

    Its gradient in z_s is that of `kl`; its value is larger by T² times the teacher's entropy.
    """
    return temperature**2 * cross_entropy_without_t2(student_logits, teacher_logits, temperature)


def cross_entropy_without_t2(
    student_logits: Tensor, teacher_logits: Tensor, temperature: float
) -> Tensor:
    """Return the soft cross-entropy without T², as TextBrewer's kd_ce_loss does.

    L = mean_b −Σ_c p(z_t,b, T)[c] · log p(z_s,b, T)[c]
    """
    check_shapes(student_logits, teacher_logits)
    teacher_probs = F.softmax(teacher_logits / temperature, dim=-1)
    student_log_probs = F.log_softmax(student_logits / temperature, dim=-1)
    return -(teacher_probs * student_log_probs).sum(dim=-1).mean()


def cross_entropy_elementwise(
    student_logits: Tensor, teacher_logits: Tensor, temperature: float
) -> Tensor:
    """Return TinyBERT's prediction loss: without T², and averaged over classes too.

    L = 1 / C · mean_b −Σ_c p(z_t,b, T)[c] · log p(z_s,b, T)[c]
    """
    classes = student_logits.shape[-1]
    return cross_entropy_without_t2(student_logits, teacher_logits, temperature) / classes


def mse_probabilities(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Return the squared distance of the softened probabilities, as MetaDistil's code does.

    L = T² · mean_{b,c} ( p(z_s,b, T)[c] − p(z_t,b, T)[c] )²
    """
    check_shapes(student_logits, teacher_logits)
    student_probs = F.softmax(student_logits / temperature, dim=-1)
    teacher_probs = F.softmax(teacher_logits / temperature, dim=-1)
    return temperature**2 * F.mse_loss(student_probs, teacher_probs)


def mse_logits(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:  # noqa: ARG001
    """Return the squared distance of the raw logits (TMKD eq. 3; MetaDistil's --logits_mse).

        L = mean_{b,c} ( z_s,b[c] − z_t,b[c] )²

    The temperature is not used.
    """
    check_shapes(student_logits, teacher_logits)
    return F.mse_loss(student_logits, teacher_logits)


@dataclass(frozen=True)
class SoftLoss:
    """A loss between student and teacher logits."""

    function: Callable[[Tensor, Tensor, float], Tensor]  # (student, teacher, T) -> scalar
    formula: str
    compares: str = DISTRIBUTIONS  # raw logits are compared without T


# The key says what a loss computes, the comment where it is used.
SOFT_LOSSES: dict[str, SoftLoss] = {
    "kl": SoftLoss(kl, "T²·KL(t‖s)"),  # HF DistilBERT, torchdistill
    "kl_elementwise": SoftLoss(kl_elementwise, "T²/C·KL(t‖s)"),  # PKD, TAKD
    "soft_ce": SoftLoss(soft_cross_entropy, "T²·CE(t, s)"),  # Hinton 2015
    "soft_ce_without_t2": SoftLoss(cross_entropy_without_t2, "CE(t, s)"),  # TextBrewer
    "soft_ce_elementwise": SoftLoss(cross_entropy_elementwise, "1/C·CE(t, s)"),  # TinyBERT
    "mse_prob": SoftLoss(mse_probabilities, "T²/C·‖p(s,T) − p(t,T)‖²"),  # MetaDistil's code
    "soft_bce": SoftLoss(
        soft_binary_cross_entropy, "T²/C·BCE(t, s)", compares=SIGMOIDS
    ),  # Hinton 2015, label by label
    "mse_logits": SoftLoss(mse_logits, "1/C·‖s − t‖²", compares=RAW_LOGITS),  # TMKD
}


def soft_loss(name: str) -> SoftLoss:
    """Return the soft loss of that name.

    Raises:
        Refused: no soft loss has that name.
    """
    if name not in SOFT_LOSSES:
        raise Refused(
            "There is no such soft loss.",
            key="method.soft_loss",
            value=name,
            rule="one of " + ", ".join(SOFT_LOSSES),
        )
    return SOFT_LOSSES[name]


def distillation_formula(name: str, *, hard: str, alpha: float, temperature: float) -> str:
    """Return the loss with its settings filled in, as a line for a run's log.

    Args:
        name: key of the soft loss in `SOFT_LOSSES`.
        hard: short name of the hard loss.
        alpha: weight of the soft loss, 0..1.
        temperature: T > 0.
    """
    at = f", T={temperature:g}" if SOFT_LOSSES[name].compares != RAW_LOGITS else ""
    return f"L = {1 - alpha:g}·{hard}(y, s) + {alpha:g}·{soft_formula(name, temperature)}{at}"


def soft_formula(name: str, temperature: float) -> str:
    """Return a soft loss of `SOFT_LOSSES` with its temperature filled in."""
    return SOFT_LOSSES[name].formula.replace("T²", f"{temperature:g}²")
