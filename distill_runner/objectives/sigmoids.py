"""Losses on the logits of independent labels, and means of their probabilities: pure functions.

Notation: B batch, C labels, z_s and z_t logits, σ(z) = 1 / (1 + e^−z), y in {0, 1}.
Every loss is a mean over the batch and over the labels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from distill_runner.objectives.shapes import check_shapes


def binary_cross_entropy(student_logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy with the true labels at T = 1, label by label.

        L = mean_{b,c} −y log σ(z_s) − (1 − y) log(1 − σ(z_s))

    Args:
        student_logits: [batch, labels].
        labels: [batch, labels], 0 or 1.

    Returns:
        Scalar, in nats.
    """
    return F.binary_cross_entropy_with_logits(student_logits, labels.to(student_logits.dtype))


def soft_binary_cross_entropy(
    student_logits: Tensor, teacher_logits: Tensor, temperature: float
) -> Tensor:
    """Return the cross-entropy with the teacher's softened probabilities, label by label.

        L = T² · mean_{b,c} −q log σ(z_s / T) − (1 − q) log(1 − σ(z_s / T)),  q = σ(z_t / T)

    T² keeps the gradient's scale as T grows, as for classes (Hinton et al. 2015, section 2).

    Args:
        student_logits: [batch, labels].
        teacher_logits: [batch, labels]; not detached, as bi-level methods need its gradient.
        temperature: T > 0.

    Returns:
        Scalar, in nats times T²; least where the two agree, and there T² times the teacher's
        entropy.

    Raises:
        ValueError: the two shapes differ.
    """
    check_shapes(student_logits, teacher_logits)
    targets = torch.sigmoid(teacher_logits / temperature)
    # Written out: bi-level methods need its second derivative in targets and logits.
    scaled = student_logits / temperature
    loss = -(targets * F.logsigmoid(scaled) + (1 - targets) * F.logsigmoid(-scaled)).mean()
    return temperature**2 * loss


def mean_of_sigmoids(logits: Tensor, weights: Tensor, temperature: float) -> Tensor:
    """Return logits whose softened probabilities are the weighted mean of the models'.

        z[b] = T · logit Σ_m w_m · σ(z_m[b] / T),  so  σ(z / T) is that mean

    Args:
        logits: [models, batch, labels].
        weights: [models], sum 1.
        temperature: T > 0.

    Returns:
        [batch, labels].
    """
    shares = weights.log()[:, None, None]
    yes = torch.logsumexp(F.logsigmoid(logits / temperature) + shares, dim=0)
    no = torch.logsumexp(F.logsigmoid(-logits / temperature) + shares, dim=0)
    return temperature * (yes - no)


def equal_mean_of_sigmoids(logits: Tensor) -> Tensor:
    """Return `mean_of_sigmoids` of logits, [models, batch, labels], at T = 1 with equal weights."""
    weights = logits.new_full((len(logits),), 1 / len(logits))
    return mean_of_sigmoids(logits, weights, 1.0)
