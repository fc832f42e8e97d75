"""Metrics of sets of labels, their intervals, and what one set for all rows scores.

Answers and labels are tables of truth values, [rows, labels].
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
    """A metric of the answers, 0..1."""
    if metric is Metric.subset_accuracy:
        return float(_right(answers, labels).mean())
    return float(_F1[metric](_counts(answers, labels).sum(axis=0)))


def set_interval(metric: Metric, answers: np.ndarray, labels: np.ndarray) -> Interval:
    """The metric's 95% interval: Wilson's of subset accuracy, else a bootstrap over the rows."""
    if metric is Metric.subset_accuracy:
        right = _right(answers, labels)
        return proportion_interval(int(right.sum()), len(right))
    (drawn,) = _resampled(_counts(answers, labels))
    return _percentiles(_F1[metric](drawn))


def difference_interval(
    metric: Metric, ours: np.ndarray, theirs: np.ndarray, labels: np.ndarray
) -> Interval:
    """The 95% interval of the difference of two models' metrics, paired over the rows."""
    if metric is Metric.subset_accuracy:
        return paired_rows_interval(_right(ours, labels), _right(theirs, labels))
    first, second = _resampled(_counts(ours, labels), _counts(theirs, labels))
    return _percentiles(_F1[metric](first) - _F1[metric](second))


def best_constant(metric: Metric, labels: np.ndarray) -> float:
    """What the k most frequent labels score as the answer to every row, for the best k."""
    order = np.argsort(-labels.mean(axis=0), kind="stable")
    best = 0.0
    for k in range(labels.shape[1] + 1):
        constant = np.zeros(labels.shape[1], dtype=bool)
        constant[order[:k]] = True
        answers = np.broadcast_to(constant, labels.shape)
        best = max(best, metric_of_sets(metric, answers, labels))
    return best


def _right(answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Whether each row has exactly its labels. [rows]."""
    return np.asarray((answers == labels).all(axis=-1))


def _counts(answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """By row and label, whether it was found, and whether it was missed or made up.

    Returns:
        [rows, 2, labels].
    """
    return np.stack([answers & labels, answers ^ labels], axis=1).astype(float)


def _micro_f1(counts: np.ndarray) -> np.ndarray:
    """F1 over all labels of all rows; 0 where none occurs and none is answered.

    Args:
        counts: [..., 2, labels], summed over the rows.
    """
    found, wrong = counts[..., 0, :].sum(axis=-1), counts[..., 1, :].sum(axis=-1)
    return _ratio(2 * found, 2 * found + wrong)


def _macro_f1(counts: np.ndarray) -> np.ndarray:
    """The mean of F1 over the labels that occur or are answered; the others have none."""
    found, wrong = counts[..., 0, :], counts[..., 1, :]
    counted = (found + wrong) > 0
    return _ratio(_ratio(2 * found, 2 * found + wrong).sum(axis=-1), counted.sum(axis=-1))


_F1: dict[Metric, Callable[[np.ndarray], np.ndarray]] = {
    Metric.micro_f1: _micro_f1,
    Metric.macro_f1: _macro_f1,
}


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """0 where there is nothing to divide by."""
    found: np.ndarray = np.zeros(np.shape(above))
    np.divide(above, below, out=found, where=np.asarray(below) > 0)
    return found


def _resampled(*tables: np.ndarray) -> list[np.ndarray]:
    """Bootstrap sums of each table, the same rows drawn for all. [resamples, 2, labels]."""
    draw, rows = (
        np.random.default_rng(0),
        len(tables[0]),
    )  # so that the same rows give the same interval
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
