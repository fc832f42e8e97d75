"""Metrics of label sets, their intervals, and the score of one set for all rows.

Answers (the predicted sets) and labels (the true ones) are boolean tables, [rows, labels].
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from distill_runner.config.schema import Metric
from distill_runner.evaluation.metrics.intervals import (
    Interval,
    paired_rows_interval,
    proportion_interval,
)

_RESAMPLES = 2000
_RESAMPLES_AT_ONCE = 100  # limits the memory


def metric_of_sets(metric: Metric, answers: np.ndarray, labels: np.ndarray) -> float:
    """Return a metric of the predicted sets, 0..1."""
    if metric is Metric.subset_accuracy:
        return float(_right(answers, labels).mean())
    return float(_F1[metric](_counts(answers, labels).sum(axis=0)))


def set_interval(metric: Metric, answers: np.ndarray, labels: np.ndarray) -> Interval:
    """Return the metric's 95% interval: Wilson's for subset accuracy, else a row bootstrap."""
    if metric is Metric.subset_accuracy:
        right = _right(answers, labels)
        return proportion_interval(int(right.sum()), len(right))
    (drawn,) = _resample(_counts(answers, labels))
    return _percentiles(_F1[metric](drawn))


def difference_interval(
    metric: Metric, ours: np.ndarray, theirs: np.ndarray, labels: np.ndarray
) -> Interval:
    """Return the 95% interval of the difference of two models' metrics, paired over rows."""
    if metric is Metric.subset_accuracy:
        return paired_rows_interval(_right(ours, labels), _right(theirs, labels))
    first, second = _resample(_counts(ours, labels), _counts(theirs, labels))
    return _percentiles(_F1[metric](first) - _F1[metric](second))


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


def _resample(*tables: np.ndarray) -> list[np.ndarray]:
    """Return bootstrap sums of each table, the same rows drawn for all. [resamples, 2, labels]."""
    draw = np.random.default_rng(0)  # so that the same rows give the same interval
    rows = len(tables[0])
    flat = [table.reshape(rows, -1) for table in tables]
    sums: list[list[np.ndarray]] = [[] for _ in tables]
    for _ in range(_RESAMPLES // _RESAMPLES_AT_ONCE):
        times = draw.multinomial(rows, np.full(rows, 1 / rows), size=_RESAMPLES_AT_ONCE)
        for found, table in zip(sums, flat, strict=True):
            found.append(times @ table)
    return [
        np.concatenate(found).reshape(_RESAMPLES, *table.shape[1:])
        for found, table in zip(sums, tables, strict=True)
    ]


def _percentiles(values: np.ndarray) -> Interval:
    low, high = np.percentile(values, [2.5, 97.5])
    return Interval(float(low), float(high))
