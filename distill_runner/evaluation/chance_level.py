"""The verdict of `result.json` on a model that is no better than chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from distill_runner.results.measurements import AtChance
from distill_runner.results.scores import Score
from distill_runner.tasks.base import Task

if TYPE_CHECKING:
    from datasets import Dataset


def verdict(
    task: Task,
    score: Score,
    logits: np.ndarray,
    split: str,
    rows: Dataset,
    *,
    names: Sequence[str],
) -> AtChance | None:
    """Return why a model's predictions on the rows of `split` are no better than chance.

    Args:
        score: the score of the logits.
        logits: [rows, outputs].
        names: names of the outputs.

    Returns:
        None if the model is better than chance.
    """
    chance = task.chance_level(score, logits, rows)
    if not chance.reached:
        return None
    return AtChance(
        split=split,
        rows=len(rows),
        label=chance.mark,
        evidence=chance.evidence,
        one_answer=task.only_answer(logits, names),
    )
