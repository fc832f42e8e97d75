"""Compares the answers of exported files with the student's own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from distill_runner.evaluation.metrics.intervals import Interval
from distill_runner.export.rows import CheckRows


@dataclass(frozen=True)
class Check:
    """How one form of the student answers the validation rows, beside the student itself.

    Attributes:
        score: its primary metric, in 0..1 (a correlation in -1..1).
        largest: the largest difference of any logit from the student's.
        changed: rows that get another label or set of labels; None for scores.
        lead: the paired 95% interval of its score minus the student's, over clusters of rows.
        difference: its score minus the student's.
    """

    score: float
    largest: float
    changed: int | None
    difference: float
    lead: Interval


def compare(ours: np.ndarray, theirs: np.ndarray, rows: CheckRows) -> Check:
    """Compare two forms' logits on the validation rows.

    Args:
        ours: the exported form's, [rows, classes].
        theirs: the student's own, [rows, classes].
        rows: with labels and clusters.
    """
    task = rows.task
    score, own = (task.value(each, rows.labels) for each in (ours, theirs))
    return Check(
        score=score,
        largest=float(np.abs(ours - theirs).max()),
        changed=_changed(ours, theirs, rows) if task.rules.no_names is None else None,
        difference=score - own,
        lead=task.lead(ours, theirs, rows.labels, rows.clusters),
    )


def _changed(ours: np.ndarray, theirs: np.ndarray, rows: CheckRows) -> int:
    names = [str(at) for at in range(ours.shape[1])]
    both = (rows.task.predict(each, names) for each in (ours, theirs))
    return sum(one != other for one, other in zip(*both, strict=True))
