"""Tests the finalists on the test rows, once: no worse than the teachers, by a margin?

With d_c the contribution of cluster c to the teachers' lead over a finalist, the hypothesis is that
the mean of d is the margin or more. Its p-values (`promise.p_value`, one-sided) are adjusted for
all finalists, and for what earlier searches of the folder tested (Holm 1979).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from distill_runner.evaluation.metrics.estimate import holm
from distill_runner.evaluation.metrics.intervals import Interval
from distill_runner.evaluation.metrics.promise import p_value
from distill_runner.search.dominance import cheapness
from distill_runner.search.points import Finalist, Point, Trained
from distill_runner.tasks.base import Task

if TYPE_CHECKING:
    import datasets

LEVEL = 0.05  # of the one-sided tests


@dataclass(frozen=True)
class JudgedRows:
    """The rows that finalists are tested on, and the teachers' answers.

    Attributes:
        rows: a prepared split.
        teachers: [rows, outputs], the logits of the teachers together.
    """

    task: Task
    rows: datasets.Dataset
    teachers: np.ndarray

    @cached_property
    def labels(self) -> np.ndarray:
        """The labels, as the task uses them."""
        return self.task.labels(self.rows)

    @cached_property
    def clusters(self) -> np.ndarray:
        """The number of each row's cluster. [rows]."""
        return self.task.clusters(self.rows)

    def contributions(self, logits: np.ndarray) -> np.ndarray:
        """Return each cluster's contribution to the primary metric. [clusters]."""
        task = self.task
        return task.contributions(logits, self.labels, self.clusters, task.primary_metric)

    def value(self, logits: np.ndarray) -> float:
        """Return the primary metric."""
        return self.task.value(logits, self.labels)

    def lead(self, ours: np.ndarray, theirs: np.ndarray) -> Interval:
        """Return the paired 95% interval of the difference in the primary metric."""
        return self.task.lead(ours, theirs, self.labels, self.clusters)

    def interval(self, logits: np.ndarray) -> Interval:
        """Return the 95% interval of the primary metric, as result.json has it."""
        score = self.task.score(logits, self.rows)
        return Interval(score.low, score.high)


def p_no_worse(ours: np.ndarray, teachers: np.ndarray, margin: float) -> float:
    """Return the p-value of "worse than the teachers by the margin or more".

    Args:
        ours, teachers: [clusters], the contributions to the primary metric.
        margin: above 0 and below 1, in the unit of the metric.
    """
    lost = teachers - ours
    return p_value(lost, np.arange(len(lost)), margin)


def judge(
    finalists: Sequence[tuple[Trained, np.ndarray]],
    rows: JudgedRows,
    *,
    margin: float,
    tested_before: int,
) -> list[Finalist]:
    """Test the finalists.

    Args:
        finalists: each with its logits on the rows, [rows, outputs].
        rows: of the test split.
        margin: points below the teachers that still count as no worse.
        tested_before: other points that earlier searches of the folder tested on these rows.
    """
    teachers = rows.contributions(rows.teachers)
    plain = [
        p_no_worse(rows.contributions(logits), teachers, margin / 100) for _, logits in finalists
    ]
    # What was tested before counts as if it had failed: no finalist's p-value gains from it.
    adjusted = holm([*plain, *[1.0] * tested_before])
    own = rows.value(rows.teachers)
    return [
        Finalist(
            trained=trained,
            score=rows.value(logits),
            interval=rows.interval(logits),
            lead=rows.value(logits) - own,
            lead_interval=rows.lead(logits, rows.teachers),
            p_value=p,
            is_no_worse=p <= LEVEL,
            logits=logits,
        )
        for (trained, logits), p in zip(finalists, adjusted, strict=False)
    ]


def choose(tested: Sequence[Finalist], fitting: Sequence[Point]) -> Finalist:
    """Return the cheapest finalist that fits and is no worse; else the best on validation."""
    able = [one for one in tested if one.point in fitting]
    good = [one for one in able if one.is_no_worse]
    if good:
        return min(good, key=lambda one: cheapness(one.point))
    return max(able, key=lambda one: (one.trained.score, -cheapness(one.point)))


@dataclass(frozen=True)
class TransformerQuestion:
    """Whether the data need a transformer: the best one's lead on test over the static student.

    Attributes:
        transformer, static: the finalists of each kind that are best on validation.
        lead: the first one's score minus the second one's.
        interval: its paired 95% interval.
        is_small: whether the lead is shown to be less than the margin, one-sided at 5%.
    """

    transformer: Finalist
    static: Finalist
    lead: float
    interval: Interval
    is_small: bool


def ask_for_transformer(
    tested: Sequence[Finalist], rows: JudgedRows, *, margin: float
) -> TransformerQuestion | None:
    """Compare the best finalist of either kind; None if one kind has no finalist.

    Args:
        tested: the finalists.
        rows: of the test split.
        margin: points of the primary metric that count as little.
    """
    kinds = [
        [one for one in tested if one.point.variant.is_static is kind] for kind in (False, True)
    ]
    if not all(kinds):
        return None
    transformer, static = (max(kind, key=lambda one: one.trained.score) for kind in kinds)
    ours, theirs = (rows.contributions(one.logits) for one in (static, transformer))
    return TransformerQuestion(
        transformer=transformer,
        static=static,
        lead=transformer.score - static.score,
        interval=rows.lead(transformer.logits, static.logits),
        is_small=p_no_worse(ours, theirs, margin / 100) <= LEVEL,
    )
