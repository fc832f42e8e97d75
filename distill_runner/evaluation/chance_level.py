"""What `result.json` says of a model that is no better than chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from distill_runner.tasks.base import Task
from distill_runner.tasks.score import Score

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
) -> dict[str, Any]:
    """Whether a model is no better than chance on a split, and in which words.

    Args:
        score: of the logits, [rows, outputs].
        names: of the outputs.
    """
    chance = task.chance_level(score, logits, rows)
    if not chance.reached:
        return {"no_better_than_chance": False, "chance": None}
    known = {"split": split, "rows": len(rows), "mark": chance.mark, "told": chance.reason}
    only = task.only_answer(logits, names)
    return {"no_better_than_chance": True, "chance": {**known, "one_answer": only}}
