"""Classification metrics: functions of the confusion table of true and predicted classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from distill_runner.config.schema import Metric
from distill_runner.evaluation.metrics.evaluate_metric import offline_metric

Table = np.ndarray  # [true class, predicted class], counts of rows


def accuracy(table: Table) -> float:
    """Return the share of rows on the diagonal."""
    return float(np.diag(table).sum() / table.sum())


def macro_f1(table: Table) -> float:
    """Return the mean F1 of the classes that occur or are predicted; the others have none."""
    found = _f1(table)
    return float(found[~np.isnan(found)].mean())


def f1(table: Table) -> float:
    """Return F1 of class 1; 0 if it neither occurs nor is predicted."""
    return float(np.nan_to_num(_f1(table)[1]))


def _f1(table: Table) -> np.ndarray:
    """Return F1 of each class; nan if it neither occurs nor is predicted. [classes]."""
    both = table.sum(axis=0) + table.sum(axis=1)
    found = np.full(len(table), np.nan)
    np.divide(2 * np.diag(table), both, out=found, where=both > 0)
    return found


def matthews(table: Table) -> float:
    """Return the correlation of true and predicted class, -1..1 (Gorodkin 2004).

    With two classes it is Matthews' coefficient. It is 0 if only one class occurs or is
    predicted.
    """
    n, true, predicted = table.sum(), table.sum(axis=1), table.sum(axis=0)
    scale = np.sqrt((n**2 - true @ true) * (n**2 - predicted @ predicted))
    return float((n * np.trace(table) - true @ predicted) / scale) if scale else 0.0


_OF_TABLE: dict[Metric, Callable[[Table], float]] = {
    Metric.accuracy: accuracy,
    Metric.macro_f1: macro_f1,
    Metric.f1: f1,
    Metric.matthews: matthews,
}


def score_table(metric: Metric, table: Table) -> float:
    """Return one metric of a confusion table."""
    return _OF_TABLE[metric](table)


def class_metric(metric: Metric, predicted: np.ndarray, labels: np.ndarray, classes: int) -> float:
    """Return one metric of predicted and true classes, [rows] each."""
    cells = np.bincount(labels * classes + predicted, minlength=classes**2)
    return score_table(metric, cells.reshape(classes, classes).astype(float))


@cache
def class_metrics() -> Any:
    """Return the classification metrics as one `evaluate.Metric`; it computes those in `names`."""

    def compute(
        predictions: list[int], references: list[int], classes: int, names: Sequence[Metric]
    ) -> dict[str, float]:
        table = np.zeros((classes, classes))
        np.add.at(table, (np.asarray(references), np.asarray(predictions)), 1)
        return {name.value: _OF_TABLE[name](table) for name in names}

    kinds = {"predictions": "int64", "references": "int64"}
    return offline_metric("Metrics of class predictions.", compute, kinds)
