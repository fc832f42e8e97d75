"""One stage of a method, as its YAML describes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Optional

from omegaconf import MISSING

from distill_runner.config.schema.models import Start
from distill_runner.config.schema.rules import AT_LEAST_0, LEARNING_RATE, one_of


class When(Enum):
    """Whether a baseline is trained."""

    auto = "auto"
    never = "never"


@dataclass
class StageConfig:
    """One stage of a method: its algorithm, the learner's first weights and the rows."""

    # _target_, the class of the algorithm, and its settings
    algorithm: Any = MISSING
    # how often the stage is repeated, or a list of how each repetition's learner differs from
    # the student; null: once
    repeat: Any = None
    # where the learner's weights come from: student, or the name of an earlier stage
    start: str = "student"
    # first weights of a learner that continues no earlier stage; null: student.start
    student_start: Optional[Start] = None
    # who teaches: teachers, first, each, previous, pretrain_teachers, pretrain_first, or names of
    # earlier stages, in which * matches anything
    teachers: list[str] = field(default_factory=list)
    # the rows to learn from
    rows: str = field(default="train", metadata=one_of(("train", "unlabelled")))
    # whose rows: the task's, or pretrain's if pretrain.dataset names any
    data: str = field(default="task", metadata=one_of(("task", "pretrain")))
    # keep only the encoder of the stage that start names, and add a new head
    fresh_head: bool = False
    # stop repeating once validation gets no better, and keep the best repetition
    stop: bool = False
    # deploy all repetitions together, their probabilities averaged
    together: bool = False
    # passes over the rows; null: training.epochs; 0: the stage is left out
    epochs: Optional[int] = field(default=None, metadata=AT_LEAST_0)
    # leave the learner as it starts
    untrained: bool = False
    # added to the run's seed, for a learner that must start from other weights
    seed_offset: int = 0
    # train on the quiz rows too
    with_quiz_rows: bool = False
    # whether noise applies
    noisy: bool = True
    # never: the stage is left out
    when: When = When.auto
    # AdamW's learning rate; null: training.learning_rate
    learning_rate: Optional[float] = field(default=None, metadata=LEARNING_RATE)
