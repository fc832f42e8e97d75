"""Ranking metrics: the mean, over groups of rows, of a function of the ranked labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from distill_runner.config.schema import Metric
from distill_runner.evaluation.metrics.evaluate_metric import offline_metric

Ranked = Sequence[np.ndarray]  # per group with a 1, its labels, 0 or 1, best rank first


def average_precision(ranked: np.ndarray) -> float:
    """Return the mean, over the ranks of the 1s, of the share of 1s up to that rank."""
    precision = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
    return float(precision[ranked == 1].mean())


def reciprocal_rank(ranked: np.ndarray) -> float:
    """Return one over the rank of the first 1."""
    return 1 / (1 + int(np.argmax(ranked)))


_OF_RANKING: dict[Metric, Callable[[np.ndarray], float]] = {
    Metric.map: average_precision,
    Metric.mrr: reciprocal_rank,
}


def rank(scores: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> Ranked:
    """Sort the labels of each group that has a 1 by falling score.

    Among equal scores the 0s come first, so that a model which gives every row the same score
    gains nothing from the order of the rows.

    Args:
        scores: [rows].
        labels: [rows], 0 or 1.
        groups: [rows], the number of each row's group.
    """
    order = np.lexsort((labels, -scores, groups))
    edges = np.flatnonzero(np.diff(groups[order])) + 1
    return [part for part in np.split(labels[order], edges) if part.any()]


def each_group(metric: Metric, ranked: Ranked) -> np.ndarray:
    """Return a ranking metric of every group; its mean is the metric. [groups]."""
    return np.array([_OF_RANKING[metric](part) for part in ranked])


def expected_at_random(metric: Metric, ranked: Ranked) -> float:
    """Return the expected value of a ranking metric over random orders of the rows."""
    return float(np.mean([_AT_RANDOM[metric](len(part), int(part.sum())) for part in ranked]))


def _average_precision_at_random(n: int, ones: int) -> float:
    # Rank k holds a 1 with probability ones/n; given that, each rank above it holds one with
    # probability (ones-1)/(n-1).
    ranks = np.arange(1, n + 1)
    above = (ones - 1) / (n - 1) if n > 1 else 0.0
    return float(((1 + (ranks - 1) * above) / ranks).mean())


def _reciprocal_rank_at_random(n: int, ones: int) -> float:
    # `none` is the probability that ranks 1 to k-1 hold no 1.
    expected, none = 0.0, 1.0
    for k in range(1, n - ones + 2):
        here = ones / (n - k + 1)
        expected += none * here / k
        none *= 1 - here
    return expected


_AT_RANDOM: dict[Metric, Callable[[int, int], float]] = {
    Metric.map: _average_precision_at_random,
    Metric.mrr: _reciprocal_rank_at_random,
}


@cache
def ranking_metrics() -> Any:
    """Return the ranking metrics as one `evaluate.Metric`; `predictions` are scores of class 1."""

    def compute(
        predictions: list[float], references: list[int], groups: list[int], names: Sequence[Metric]
    ) -> dict[str, float | int]:
        numbers = np.asarray(groups)
        ranked = rank(np.asarray(predictions), np.asarray(references), numbers)
        questions = len(np.unique(numbers))
        found = {name.value: float(each_group(name, ranked).mean()) for name in names}
        return {**found, "questions": questions, "without_positive": questions - len(ranked)}

    kinds = {"predictions": "float64", "references": "int64", "groups": "int64"}
    return offline_metric("Metrics of rankings.", compute, kinds)
