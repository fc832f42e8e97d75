"""Holds the result of a search, for its reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from distill_runner.config.schema import Budget
from distill_runner.errors import typeable
from distill_runner.evaluation.metrics.intervals import Interval
from distill_runner.search.judging import TransformerQuestion
from distill_runner.search.points import Dropped, Finalist, Point, Trained, Variant


@dataclass(frozen=True)
class Teachers:
    """The teachers together on the test rows: the primary metric and its 95% interval."""

    names: tuple[str, ...]
    score: float
    interval: Interval


@dataclass(frozen=True)
class Found:
    """A finished search.

    Attributes:
        folder: where its files lie.
        data: display name of the data set.
        metric: the primary metric.
        rows: validation and test rows.
        budget, margin: as they were asked for.
        words: of each student's full training, by student.
        fitting: the points within the budget.
        trained: every form of the students trained to the end.
        dropped: the other students.
        frontier: names of the points on validation's frontier, among those that fit.
        tested: the finalists.
        tested_before: how many other points earlier searches of the folder tested.
        chosen: the finalist to deploy.
        question: whether the data need a transformer; None without one of the two kinds.
        left_out: lines on students that could not be tried.
    """

    folder: Path
    data: str
    metric: str
    rows: tuple[int, int]
    budget: Budget
    margin: float
    words: Mapping[Variant, tuple[str, ...]]
    fitting: tuple[Point, ...]
    trained: tuple[Trained, ...]
    dropped: tuple[Dropped, ...]
    frontier: tuple[str, ...]
    tested: tuple[Finalist, ...]
    tested_before: int
    teachers: Teachers
    chosen: Finalist
    question: TransformerQuestion | None
    left_out: tuple[str, ...]

    def command(self, variant: Variant) -> str:
        """Return the command that makes a student again."""
        return typeable(["distill-run", *self.words[variant]])


def budget_words(budget: Budget) -> str:
    """Return the budget in words."""
    parts = [
        *([] if budget.ms is None else [f"{budget.ms:g} ms a text"]),
        *([] if budget.mb is None else [f"{budget.mb:g} MB"]),
    ]
    return " and ".join(parts) or "no limit"


def left_out_line(layers: Sequence[int], model: str, depth: int) -> str:
    """Say which numbers of layers a model does not have."""
    numbers = ", ".join(map(str, layers))
    return f"left out: {numbers} layers, since {model} has {depth}"
