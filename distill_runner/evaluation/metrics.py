"""What a data set may be scored by: our own metrics on evaluate's base class.

Nothing is downloaded. A classification metric is a function of the table of true and
predicted classes; a ranking metric is the mean, over groups of rows, of a function of the
labels in the order of the ranking; a metric of scores is a correlation over the rows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec, module_from_spec
from typing import Any

import numpy as np

from distill_runner.config.schema import Metric

Table = np.ndarray  # [true class, predicted class], counts of rows
Ranked = Sequence[np.ndarray]  # per group that has a 1, its labels 0 or 1, best rank first


def accuracy(table: Table) -> float:
    """The share of rows on the diagonal."""
    return float(np.diag(table).sum() / table.sum())


def macro_f1(table: Table) -> float:
    """The mean of F1 over the classes that occur or are predicted; the others have none."""
    found = _f1(table)
    return float(found[~np.isnan(found)].mean())


def f1(table: Table) -> float:
    """F1 of class 1; 0 where it neither occurs nor is predicted."""
    return float(np.nan_to_num(_f1(table)[1]))


def _f1(table: Table) -> np.ndarray:
    """F1 of each class; nan where it neither occurs nor is predicted. [classes]."""
    both = table.sum(axis=0) + table.sum(axis=1)
    found = np.full(len(table), np.nan)
    np.divide(2 * np.diag(table), both, out=found, where=both > 0)
    return found


def matthews(table: Table) -> float:
    """Correlation of true and predicted class, -1..1 (Gorodkin 2004, of two classes Matthews').

    0 where only one class is predicted or occurs, so that nothing can correlate.
    """
    n, true, predicted = table.sum(), table.sum(axis=1), table.sum(axis=0)
    scale = np.sqrt((n**2 - true @ true) * (n**2 - predicted @ predicted))
    return float((n * np.trace(table) - true @ predicted) / scale) if scale else 0.0


def average_precision(ranked: np.ndarray) -> float:
    """The mean, over the ranks of the 1s, of the share of 1s down to there."""
    precision = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
    return float(precision[ranked == 1].mean())


def reciprocal_rank(ranked: np.ndarray) -> float:
    """One over the rank of the first 1."""
    return 1 / (1 + int(np.argmax(ranked)))


def pearson(predictions: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Correlation along the last axis, -1..1; 0 where either is constant.

    Args:
        predictions, references: [..., rows], of one shape.
    """
    centred = [x - x.mean(axis=-1, keepdims=True) for x in (predictions, references)]
    both = (centred[0] * centred[1]).sum(axis=-1)
    scale = np.sqrt((centred[0] ** 2).sum(axis=-1) * (centred[1] ** 2).sum(axis=-1))
    # Not scale > 0: rounding leaves a little of it even where all rows are equal.
    varied = (np.ptp(predictions, axis=-1) > 0) & (np.ptp(references, axis=-1) > 0)
    correlation: np.ndarray = np.zeros_like(scale)
    np.divide(both, scale, out=correlation, where=varied & (scale > 0))
    return correlation


def spearman(predictions: np.ndarray, references: np.ndarray) -> np.ndarray:
    """`pearson` of the ranks; equal values share the mean of theirs."""
    from scipy.stats import rankdata

    return pearson(rankdata(predictions, axis=-1), rankdata(references, axis=-1))


OF_SCORES: dict[Metric, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    Metric.pearson: pearson,
    Metric.spearman: spearman,
}
_OF_TABLE: dict[Metric, Callable[[Table], float]] = {
    Metric.accuracy: accuracy,
    Metric.macro_f1: macro_f1,
    Metric.f1: f1,
    Metric.matthews: matthews,
}
_OF_RANKING: dict[Metric, Callable[[np.ndarray], float]] = {
    Metric.map: average_precision,
    Metric.mrr: reciprocal_rank,
}


def rank(scores: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> Ranked:
    """The labels of each group that has a 1, by falling score.

    Among equal scores the 0s stand first: a model that answers all alike earns nothing by
    the order of the rows.

    Args:
        scores: [rows].
        labels: [rows], 0 or 1.
        groups: [rows], the number of each row's group.
    """
    order = np.lexsort((labels, -scores, groups))
    edges = np.flatnonzero(np.diff(groups[order])) + 1
    return [part for part in np.split(labels[order], edges) if part.any()]


def each_group(metric: Metric, ranked: Ranked) -> np.ndarray:
    """A ranking metric of every group; its mean is the metric. [groups]."""
    return np.array([_OF_RANKING[metric](part) for part in ranked])


def expected_by_lot(metric: Metric, ranked: Ranked) -> float:
    """What a ranking metric is expected to be where the order of the rows is drawn by lot."""
    return float(np.mean([_BY_LOT[metric](len(part), int(part.sum())) for part in ranked]))


def _average_precision_by_lot(n: int, ones: int) -> float:
    # Rank k holds a 1 with ones/n; of the k-1 above it (ones-1)/(n-1) are 1s on average.
    ranks = np.arange(1, n + 1)
    above = (ones - 1) / (n - 1) if n > 1 else 0.0
    return float(((1 + (ranks - 1) * above) / ranks).mean())


def _reciprocal_rank_by_lot(n: int, ones: int) -> float:
    # none: the chance that ranks 1 to k-1 hold no 1.
    expected, none = 0.0, 1.0
    for k in range(1, n - ones + 2):
        here = ones / (n - k + 1)
        expected += none * here / k
        none *= 1 - here
    return expected


_BY_LOT: dict[Metric, Callable[[int, int], float]] = {
    Metric.map: _average_precision_by_lot,
    Metric.mrr: _reciprocal_rank_by_lot,
}


@cache
def of_classes() -> Any:
    """The classification metrics as one `evaluate.Metric`; it computes those of `names`."""

    def compute(
        predictions: list[int], references: list[int], classes: int, names: Sequence[Metric]
    ) -> dict[str, float]:
        table = np.zeros((classes, classes))
        np.add.at(table, (np.asarray(references), np.asarray(predictions)), 1)
        return {name.value: _OF_TABLE[name](table) for name in names}

    kinds = {"predictions": "int64", "references": "int64"}
    return _metric("Metrics of class predictions.", compute, kinds)


@cache
def of_groups() -> Any:
    """The ranking metrics as one `evaluate.Metric`; `predictions` are scores of class 1."""

    def compute(
        predictions: list[float], references: list[int], groups: list[int], names: Sequence[Metric]
    ) -> dict[str, float | int]:
        numbers = np.asarray(groups)
        ranked = rank(np.asarray(predictions), np.asarray(references), numbers)
        questions = len(np.unique(numbers))
        found = {name.value: float(each_group(name, ranked).mean()) for name in names}
        return {**found, "questions": questions, "without_positive": questions - len(ranked)}

    kinds = {"predictions": "float64", "references": "int64", "groups": "int64"}
    return _metric("Metrics of rankings.", compute, kinds)


@cache
def of_scores() -> Any:
    """The metrics of scores as one `evaluate.Metric`; it computes those of `names`."""

    def compute(
        predictions: list[float], references: list[float], names: Sequence[Metric]
    ) -> dict[str, float]:
        columns = np.asarray(predictions), np.asarray(references)
        return {name.value: float(OF_SCORES[name](*columns)) for name in names}

    kinds = {"predictions": "float64", "references": "float64"}
    return _metric("Correlations of scores.", compute, kinds)


def _metric(description: str, compute: Callable[..., Any], kinds: Mapping[str, str]) -> Any:
    """An `evaluate.Metric` of our own: nothing is downloaded.

    Args:
        compute: of columns and settings, by their names.
        kinds: type of each column.
    """
    import datasets

    with _without_evaluators():
        from evaluate.info import MetricInfo
        from evaluate.module import Metric as Base

    class Own(Base):  # type: ignore[misc]
        def _info(self) -> Any:
            features = {name: datasets.Value(kind) for name, kind in kinds.items()}
            return MetricInfo(
                description=description, citation="", features=datasets.Features(features)
            )

        def _compute(self, **given: Any) -> Any:
            return compute(**given)

    return Own(keep_in_memory=True)


@contextmanager
def _without_evaluators() -> Iterator[None]:
    """Inside, parts of `evaluate` are imported and the package itself is not run.

    It would import its evaluators, and with them transformers' pipelines for images, sound and
    translation: seconds, for a base class. Whoever imports it afterwards has it whole.
    """
    if "evaluate" in sys.modules:
        yield
        return
    found = find_spec("evaluate")
    assert found is not None
    sys.modules["evaluate"] = module_from_spec(found)
    try:
        yield
    finally:
        del sys.modules["evaluate"]
