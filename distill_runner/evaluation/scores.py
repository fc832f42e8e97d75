"""Scores of logits on a split: metrics, and the interval of the one that leads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from distill_runner.config import schema
from distill_runner.config.schema import Metric
from distill_runner.evaluation.intervals import mean_interval
from distill_runner.evaluation.metrics import (
    OF_SCORES,
    each_group,
    expected_by_lot,
    of_classes,
    of_groups,
    of_scores,
    rank,
)
from distill_runner.planning.ranges import RANKING
from distill_runner.results.scores import RankingDifference, Score

if TYPE_CHECKING:
    from datasets import Dataset

DEFAULT = (Metric.accuracy, Metric.macro_f1)


# Splits on which every finished stage is scored, beside the extra ones.
_SCORED = ("validation", "test")


def scored(settings: schema.Dataset) -> tuple[str, ...]:
    """The splits on which every finished stage is scored, where they have rows."""
    return (*_SCORED, *settings.extra)


def score(
    logits: np.ndarray,
    labels: np.ndarray,
    *,
    metrics: Sequence[Metric] = DEFAULT,
    groups: np.ndarray | None = None,
) -> Score:
    """Score logits by accuracy with Wilson's interval, or by a correlation with a bootstrapped one.

    Args:
        logits: [rows, classes]; the largest is the answer, and two classes are ranked by
            the second's minus the first's. With one class they are scores.
        labels: [rows], classes or scores.
        groups: [rows], the number of each row's group; None without metrics of groups.
    """
    from distill_runner.evaluation.intervals import proportion_interval

    if logits.shape[-1] == 1:
        return _score_of_scores(logits, labels, metrics)
    predictions = logits.argmax(axis=-1)
    right = int((predictions == labels).sum())
    interval = proportion_interval(right, len(labels))
    found = of_classes().compute(
        predictions=predictions.tolist(),
        references=labels.tolist(),
        classes=logits.shape[-1],
        names=(Metric.accuracy, *(m for m in metrics if m not in RANKING)),
    )
    questions: int | None = None
    without_positive: int | None = None
    ranking = [metric for metric in metrics if metric in RANKING]
    if ranking:
        assert groups is not None
        ranked = of_groups().compute(
            predictions=(logits[:, 1].astype(float) - logits[:, 0]).tolist(),
            references=labels.tolist(),
            groups=groups.tolist(),
            names=ranking,
        )
        questions, without_positive = ranked.pop("questions"), ranked.pop("without_positive")
        found |= ranked
    names = dict.fromkeys((Metric.accuracy, *metrics))
    return Score(
        primary_metric=Metric.accuracy.value,
        n=len(labels),
        low=interval.low,
        high=interval.high,
        majority=float(np.bincount(labels).max() / len(labels)),
        questions=questions,
        without_positive=without_positive,
        metrics={metric.value: found[metric.value] for metric in names},
    )


def _score_of_scores(logits: np.ndarray, labels: np.ndarray, metrics: Sequence[Metric]) -> Score:
    from distill_runner.evaluation.intervals import bootstrap_interval

    answers, truth = logits[:, 0].astype(float), labels.astype(float)
    found = of_scores().compute(predictions=answers, references=truth, names=metrics)
    interval = bootstrap_interval(OF_SCORES[metrics[0]], answers, truth)
    return Score(
        primary_metric=metrics[0].value,
        n=len(labels),
        low=interval.low,
        high=interval.high,
        majority=None,
        questions=None,
        without_positive=None,
        metrics={metric.value: found[metric.value] for metric in metrics},
    )


def score_rows(logits: np.ndarray, rows: Dataset, metrics: Sequence[Metric]) -> Score:
    """The score of logits on a prepared split, in its order."""
    ranking = any(metric in RANKING for metric in metrics)
    groups = _groups(rows) if ranking else None
    return score(logits, labels_of(rows), metrics=metrics, groups=groups)


def _groups(rows: Dataset) -> np.ndarray:
    """The number of each row's group. [rows]."""
    return np.unique(np.asarray(rows["group"][:]), return_inverse=True)[1]


def ranking_lead(
    ours: np.ndarray, theirs: np.ndarray, rows: Dataset, metric: Metric
) -> RankingDifference | None:
    """How much better one model ranks the groups of a prepared split than another.

    Args:
        ours, theirs: logits, [rows, 2], in the split's order.
        rows: the split.
        metric: of a ranking.

    Returns:
        The difference and Student's 95% interval of its mean over the groups that have a 1;
        None where there are fewer than two.
    """
    labels, groups = labels_of(rows), _groups(rows)
    each = [
        each_group(metric, rank(logits[:, 1].astype(float) - logits[:, 0], labels, groups))
        for logits in (ours, theirs)
    ]
    difference = each[0] - each[1]
    interval = mean_interval(difference.tolist())
    if interval is None:
        return None
    return RankingDifference(
        difference=float(difference.mean()),
        low=interval.low,
        high=interval.high,
        groups=len(difference),
    )


def by_lot(metric: Metric, rows: Dataset) -> float:
    """What a ranking metric is expected to be on a split in an order drawn by lot."""
    labels = labels_of(rows)
    return expected_by_lot(metric, rank(np.zeros(len(labels)), labels, _groups(rows)))


def labels_of(rows: Dataset) -> np.ndarray:
    """[rows], class indices as int64, or scores as float32."""
    labels = np.asarray(rows.with_format("numpy")["label"][:])
    return labels if labels.dtype == np.float32 else labels.astype(np.int64)
