"""Metrics of scores: correlations over the rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from distill_runner.config.schema import Metric
from distill_runner.evaluation.metrics.evaluate_metric import offline_metric


def pearson(predictions: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Return the correlation along the last axis, -1..1; 0 where either is constant.

    Args:
        predictions, references: [..., rows], of the same shape.
    """
    centred = [x - x.mean(axis=-1, keepdims=True) for x in (predictions, references)]
    both = (centred[0] * centred[1]).sum(axis=-1)
    scale = np.sqrt((centred[0] ** 2).sum(axis=-1) * (centred[1] ** 2).sum(axis=-1))
    # scale > 0 is not enough: rounding can leave it above 0 even if all rows are equal.
    varied = (np.ptp(predictions, axis=-1) > 0) & (np.ptp(references, axis=-1) > 0)
    correlation: np.ndarray = np.zeros_like(scale)
    np.divide(both, scale, out=correlation, where=varied & (scale > 0))
    return correlation


def spearman(predictions: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Return `pearson` of the ranks; equal values share their mean rank."""
    from scipy.stats import rankdata

    return pearson(rankdata(predictions, axis=-1), rankdata(references, axis=-1))


CORRELATIONS: dict[Metric, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    Metric.pearson: pearson,
    Metric.spearman: spearman,
}


@cache
def correlation_metrics() -> Any:
    """Return the metrics of scores as one `evaluate.Metric`; it computes those in `names`."""

    def compute(
        predictions: list[float], references: list[float], names: Sequence[Metric]
    ) -> dict[str, float]:
        columns = np.asarray(predictions), np.asarray(references)
        return {name.value: float(CORRELATIONS[name](*columns)) for name in names}

    kinds = {"predictions": "float64", "references": "float64"}
    return offline_metric("Correlations of scores.", compute, kinds)
