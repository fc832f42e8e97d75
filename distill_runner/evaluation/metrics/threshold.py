"""Chooses the probability from which a row is given the second of two classes."""

from __future__ import annotations

import numpy as np

from distill_runner.config.schema import Metric
from distill_runner.evaluation.metrics.classes import score_table

# The metrics that a threshold changes; rankings do not depend on it.
METRICS = (Metric.accuracy, Metric.macro_f1, Metric.f1, Metric.matthews)


def best_threshold(probabilities: np.ndarray, labels: np.ndarray, metric: Metric) -> float:
    """Return the threshold with the best score, the nearest to 1/2 among equals.

    Every place between two neighbouring probabilities is tried.

    Args:
        probabilities: [rows], of the second class, 0..1.
        labels: [rows], 0 or 1.
        metric: one of `METRICS`.
    """
    values, at = np.unique(probabilities, return_inverse=True)
    cuts = np.concatenate([[0.0], (values[:-1] + values[1:]) / 2, [1.0]])
    ones = np.bincount(at, weights=labels, minlength=len(values))
    zeros = np.bincount(at, weights=1 - labels, minlength=len(values))
    # Below cut k lie the first k values; their rows are given the first class.
    below_ones = np.concatenate([[0.0], ones.cumsum()])
    below_zeros = np.concatenate([[0.0], zeros.cumsum()])
    tables = np.array(
        [
            [below_zeros, zeros.sum() - below_zeros],
            [below_ones, ones.sum() - below_ones],
        ]
    )
    scores = np.array([score_table(metric, tables[..., k]) for k in range(len(cuts))])
    best = np.flatnonzero(scores >= scores.max() - 1e-12)
    return float(cuts[best[np.abs(cuts[best] - 0.5).argmin()]])


def shift_logits(logits: np.ndarray, threshold: float) -> np.ndarray:
    """Return logits whose larger class is the second one exactly where it reaches the threshold.

    Args:
        logits: [rows, 2].
        threshold: 0..1, of the second class's probability.
    """
    inside = min(max(threshold, 1e-12), 1 - 1e-12)
    shifted = logits.astype(np.float64)
    shifted[:, 1] -= np.log(inside / (1 - inside))
    return shifted
