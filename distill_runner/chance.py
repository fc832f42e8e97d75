"""What a teacher would reach that knew nothing, beside what it reaches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from distill_runner import evaluation
from distill_runner.reading import Reading
from distill_runner.rules import RANKING


@dataclass(frozen=True)
class Chance:
    """Whether a teacher does no better than chance, and in which words."""

    reached: bool
    shown: str  # behind its headline
    told: str  # where it is refused


def beside_chance(reading: Reading, found: evaluation.Score, answers: np.ndarray) -> Chance:
    """Whether `answers` on the validation rows, [rows, classes or 1], scored `found` by chance."""
    if answers.shape[-1] == 1:
        return _of_scores(reading, found, answers)
    return _of_classes(reading, found)


def _of_classes(reading: Reading, found: evaluation.Score) -> Chance:
    """Beside the main metric where that ranks rows, else beside the largest class."""
    assert found.majority is not None
    beside = f"(largest class {100 * found.majority:.1f})"
    if reading.main not in RANKING:
        told = (
            f"its 95% interval starts at {100 * found.low:.1f}, "
            f"the largest class has {100 * found.majority:.1f}"
        )
        return Chance(found.low <= found.majority, beside, told)
    # Where nearly every answer is wrong, accuracy says nothing of a ranking.
    name, ours = reading.main.value, found.metrics[reading.main.value]
    by_lot = evaluation.by_lot(reading.main, reading.data.splits["validation"])
    told = f"{name} {100 * ours:.1f}, and {100 * by_lot:.1f} where the order is drawn by lot"
    return Chance(ours <= by_lot, f"{beside}; {told}", f"its {told}")


def _of_scores(reading: Reading, found: evaluation.Score, answers: np.ndarray) -> Chance:
    """Beside one score for all rows: that correlates with nothing, and the mean errs least.

    The error tells a teacher of another scale, 0..1 for 0..5, which correlation cannot.
    """
    labels = reading.labels("validation").astype(float)
    error = float(((answers[:, 0] - labels) ** 2).mean() / labels.var())
    interval = f"[{100 * found.low:.1f}, {100 * found.high:.1f}]"
    told = f"{error:.2f} times the squared error of the labels' mean"
    return Chance(
        found.low <= 0 or error >= 1,
        f"{interval}, {told}",
        f"its {found.headline} times 100 has the 95% interval {interval}, and it makes {told}",
    )
