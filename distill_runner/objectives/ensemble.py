"""Joins the logits of several teachers into one set (Hinton et al. 2015, section 2)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from distill_runner.config.schema import Combine


def weights_by_accuracy(
    accuracies: Sequence[float], *, rows: int, classes: int
) -> tuple[float, ...]:
    """Weight teachers by accuracy, as in the optimal weighted vote of independent voters.

        w_m ∝ log( (C − 1)·a_m / (1 − a_m) ),  0 for a teacher no better than chance

    Args:
        accuracies: a_m, 0..1; a teacher without an error counts as half a row wrong.
        rows: number of rows on which each accuracy was measured.
        classes: C, number of classes.

    Returns:
        [teachers], sum 1; equal if none is better than chance.
    """
    capped = [min(accuracy, 1 - 0.5 / rows) for accuracy in accuracies]
    odds = [max(0.0, math.log((classes - 1) * a / (1 - a))) if a > 0 else 0.0 for a in capped]
    total = sum(odds)
    return tuple(one / total for one in odds) if total else (1 / len(odds),) * len(odds)


def logit_mean(logits: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted mean of the logits: the distributions' geometric mean, renormalised.

        z[b] = Σ_m w_m · z_m[b]

    Args:
        logits: [teachers, batch, classes].
        weights: [teachers], sum 1.

    Returns:
        [batch, classes].
    """
    # Not einsum: autocast would round it to bfloat16.
    return (weights[:, None, None] * logits).sum(dim=0)


def prob_mean(logits: Tensor, weights: Tensor, temperature: float) -> Tensor:
    """Return logits whose softened distribution is the weighted arithmetic mean of the teachers'.

        z[b] = T · log Σ_m w_m · softmax(z_m[b] / T),  so  softmax(z / T) is that mean

    Args:
        logits: [teachers, batch, classes].
        weights: [teachers], sum 1.
        temperature: T > 0, the distillation temperature.

    Returns:
        [batch, classes].
    """
    log_probs = F.log_softmax(logits / temperature, dim=-1)
    weighted = log_probs + weights.log()[:, None, None]
    return temperature * torch.logsumexp(weighted, dim=0)


def equal_mean_of_probabilities(logits: Tensor) -> Tensor:
    """Return the log of the mean of the heads' probabilities (TMKD, eq. 6).

    Args:
        logits: [heads, batch, classes].

    Returns:
        [batch, classes].
    """
    log_probs = logits.log_softmax(-1)
    return log_probs.logsumexp(0) - math.log(len(log_probs))


@dataclass(frozen=True)
class Ensemble:
    """The rule by which several teachers' logits become one set.

    Args:
        combine: whether to average logits or probabilities.
        weights: [teachers], sum 1.
        temperatures: [teachers], each above 0; a teacher's logits are divided by its own before
            they are joined, so that an overconfident teacher does not outweigh the others.
            None: all 1.
        mean_probabilities: (logits, weights, temperature) -> logits of the mean probabilities.
    """

    combine: Combine
    weights: tuple[float, ...]
    temperatures: tuple[float, ...] | None = None
    mean_probabilities: Callable[[Tensor, Tensor, float], Tensor] = prob_mean

    def join(self, logits: Tensor, temperature: float) -> Tensor:
        """Join logits, [teachers, batch, classes], into one set, [batch, classes].

        Args:
            logits: of each teacher.
            temperature: T > 0, the distillation temperature; a mean of logits does not use it.
        """
        weights = logits.new_tensor(self.weights)
        if self.temperatures is not None:
            logits = logits / logits.new_tensor(self.temperatures)[:, None, None]
        if self.combine is Combine.prob_mean:
            return self.mean_probabilities(logits, weights, temperature)
        return logit_mean(logits, weights)
