"""What a model would reach that knew nothing, beside what it reaches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from distill_runner.config.schema import Metric
from distill_runner.evaluation.scores import by_lot as scored_by_lot
from distill_runner.evaluation.scores import labels_of
from distill_runner.planning.ranges import RANKING
from distill_runner.results.measurements import AtChance
from distill_runner.results.scores import Score

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class Chance:
    """Whether a model does no better than chance, and in which words."""

    reached: bool
    shown: str  # behind a teacher's headline
    told: str  # where it is refused, or warned of
    mark: str  # what it is, in a table


def beside_chance(found: Score, answers: np.ndarray, rows: Dataset, main: Metric) -> Chance:
    """Whether `answers` to these rows, [rows, classes or 1], scored `found` by chance."""
    if answers.shape[-1] == 1:
        return _of_scores(found, answers, rows)
    return _of_classes(found, rows, main)


def _of_classes(found: Score, rows: Dataset, main: Metric) -> Chance:
    """Beside the main metric where that ranks rows, else beside the largest class."""
    assert found.majority is not None
    beside = f"(largest class {100 * found.majority:.1f})"
    if main not in RANKING:
        told = (
            f"its 95% interval starts at {100 * found.low:.1f}, "
            f"the largest class has {100 * found.majority:.1f}"
        )
        below = (
            "no better than" if found.value <= found.majority else "not significantly better than"
        )
        return Chance(found.low <= found.majority, beside, told, f"{below} the largest class")
    # Where nearly every answer is wrong, accuracy says nothing of a ranking.
    name, ours = main.value, found.metrics[main.value]
    by_lot = scored_by_lot(main, rows)
    told = f"{name} {100 * ours:.1f}, and {100 * by_lot:.1f} where the order is drawn by lot"
    mark = "ranks no better than by lot"
    return Chance(ours <= by_lot, f"{beside}; {told}", f"its {told}", mark)


def _of_scores(found: Score, answers: np.ndarray, rows: Dataset) -> Chance:
    """Beside one score for all rows: that correlates with nothing, and the mean errs least.

    The error tells a teacher of another scale, 0..1 for 0..5, which correlation cannot.
    """
    labels = labels_of(rows).astype(float)
    error = float(((answers[:, 0] - labels) ** 2).mean() / labels.var())
    interval = f"[{100 * found.low:.1f}, {100 * found.high:.1f}]"
    told = f"{error:.2f} times the squared error of the labels' mean"
    return Chance(
        found.low <= 0 or error >= 1,
        f"{interval}, {told}",
        f"its {found.primary_metric} times 100 has the 95% interval {interval}, "
        f"and it makes {told}",
        "no better than one score for all rows",
    )


def verdict(
    found: Score,
    answers: np.ndarray,
    split: str,
    rows: Dataset,
    *,
    metric: Metric,
    classes: Sequence[str],
) -> AtChance | None:
    """Why a model is no better than chance, judged by its answers to the rows of `split`.

    Returns:
        None where it is better.
    """
    chance = beside_chance(found, answers, rows, metric)
    if not chance.reached:
        return None
    given = np.unique(answers.argmax(axis=-1)).tolist()
    only = classes[given[0]] if len(given) == 1 < len(classes) else None
    return AtChance(
        split=split, rows=len(rows), label=chance.mark, evidence=chance.told, one_answer=only
    )
