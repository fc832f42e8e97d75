"""Holds the rows that a stage trains on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from distill_runner.data.encoding import View


@dataclass(frozen=True)
class TrainingRows:
    """The training rows and the quiz, as each learner reads them."""

    ids: Sequence[str]
    labels: np.ndarray  # -1 where hidden
    labelled: np.ndarray | None  # [rows], whether the row has a label; None: all have one
    student: View
    teachers: Sequence[View]  # of live teachers, in their order
    quiz: View | None
    quiz_labels: np.ndarray
    counts: Mapping[str, int] = field(default_factory=dict)  # how the rows were chosen
