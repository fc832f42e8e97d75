"""Metrics of label sets, their intervals, and the score of one set for all rows.

Answers (the predicted sets) and labels (the true ones) are boolean tables, [rows, labels].
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from distill_runner.config.schema import Metric
from distill_runner.evaluation.metrics.clusters import (
    contributions,
    effective_rows,
    mean_contributions,
)
from distill_runner.evaluation.metrics.estimate import interval_over_clusters
from distill_runner.evaluation.metrics.intervals import Interval, proportion_interval


def metric_of_sets(metric: Metric, answers: np.ndarray, labels: np.ndarray) -> float:
    """Return a metric of the predicted sets, 0..1."""
    if metric is Metric.subset_accuracy:
        return float(_right(answers, labels).mean())
    return float(_F1[metric](_counts(answers, labels).sum(axis=0)))


def set_contributions(
    metric: Metric, answers: np.ndarray, labels: np.ndarray, clusters: np.ndarray
) -> np.ndarray:
    """Return what each cluster contributes to a metric of the predicted sets. [clusters]."""
    if metric is Metric.subset_accuracy:
        return mean_contributions(_right(answers, labels), clusters)
    counts, score = _counts(answers, labels), _F1[metric]
    return contributions(lambda rows: float(score(counts[rows].sum(axis=0))), clusters)


def effective_sets(
    metric: Metric, answers: np.ndarray, labels: np.ndarray, clusters: np.ndarray
) -> float | None:
    """Return how many independent rows a subset accuracy is worth; None for other metrics."""
    if metric is not Metric.subset_accuracy:
        return None
    return effective_rows(_right(answers, labels), clusters)


def set_interval(
    metric: Metric, answers: np.ndarray, labels: np.ndarray, clusters: np.ndarray
) -> Interval:
    """Return the metric's 95% interval: Wilson's for subset accuracy, else the jackknife's."""
    if metric is Metric.subset_accuracy:
        right = _right(answers, labels)
        return proportion_interval(float(right.mean()), effective_rows(right, clusters))
    found = set_contributions(metric, answers, labels, clusters)
    return interval_over_clusters(found, low=0.0)


def best_constant(metric: Metric, labels: np.ndarray) -> float:
    """Return the best score of predicting one set of labels for every row.

    For subset accuracy this is the most frequent set; for an F1, the k most frequent labels, for
    the best k.
    """
    if metric is Metric.subset_accuracy:
        _, counts = np.unique(labels, axis=0, return_counts=True)
        return float(counts.max() / len(labels))
    rows_with = np.sort(labels.sum(axis=0).astype(float))[::-1]
    predicted = np.tri(len(rows_with) + 1, len(rows_with), -1, dtype=bool)  # row k: the first k
    found = np.where(predicted, rows_with, 0)
    wrong = np.where(predicted, len(labels) - rows_with, rows_with)
    return float(_F1[metric](np.stack([found, wrong], axis=1)).max())


def _right(answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return whether each row is given exactly its labels. [rows]."""
    return np.asarray((answers == labels).all(axis=-1))


def _counts(answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mark, by row and label, the true positives, and the labels missed or wrongly predicted.

    Returns:
        [rows, 2, labels].
    """
    return np.stack([answers & labels, answers ^ labels], axis=1).astype(float)


def _micro_f1(counts: np.ndarray) -> np.ndarray:
    """Return F1 over all labels of all rows; 0 if none occurs and none is predicted.

    Args:
        counts: [..., 2, labels], summed over the rows.
    """
    found, wrong = counts[..., 0, :].sum(axis=-1), counts[..., 1, :].sum(axis=-1)
    return _ratio(2 * found, 2 * found + wrong)


def _macro_f1(counts: np.ndarray) -> np.ndarray:
    """Return the mean F1 of the labels that occur or are predicted; the others have none."""
    found, wrong = counts[..., 0, :], counts[..., 1, :]
    counted = (found + wrong) > 0
    return _ratio(_ratio(2 * found, 2 * found + wrong).sum(axis=-1), counted.sum(axis=-1))


_F1: dict[Metric, Callable[[np.ndarray], np.ndarray]] = {
    Metric.micro_f1: _micro_f1,
    Metric.macro_f1: _macro_f1,
}


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Divide elementwise; 0 where the divisor is 0."""
    ratio: np.ndarray = np.zeros(np.shape(above))
    np.divide(above, below, out=ratio, where=np.asarray(below) > 0)
    return ratio
