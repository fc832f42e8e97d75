"""The job of the training loop, its progress, and its result."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from distill_runner.config.schema import Training
from distill_runner.data.training_rows import TrainingRows
from distill_runner.methods.base import Algorithm, Attachment
from distill_runner.models.learner import Learner
from distill_runner.models.teachers import TeacherSource
from distill_runner.tasks.base import Task


@dataclass(frozen=True)
class Job:
    """Everything that a stage's training needs."""

    algorithm: Algorithm
    task: Task
    student: Learner
    teachers: TeacherSource
    roles: Mapping[str, Sequence[Learner]]  # the learners that each role's updates change
    rows: TrainingRows
    training: Training
    seed: int
    first_epoch: int
    device: torch.device
    bf16: bool
    folder: Path  # of the unfinished stage: checkpoint, best weights, curves
    checkpoint_seconds: float
    log_every: int
    validate: Callable[[], dict[str, float]]  # scores after an epoch; may be empty
    on_point: Callable[[int, Mapping[str, float]], None]
    attachments: Sequence[Attachment] = ()  # modules that are trained with the student
    selected_by: str = "accuracy"  # the score that selects the best epoch


@dataclass
class Progress:
    """The progress of the stage; part of every checkpoint."""

    step: int = 0
    seconds: float = 0.0
    tokens: int = 0
    examples: int = 0
    peak_memory: int = 0  # bytes, over earlier attempts
    best_score: float = -math.inf
    best_epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Finished:
    """The result of a stage's training."""

    epochs: int
    steps: int
    wall_seconds: float  # of the steps only, over all attempts
    examples_per_second: float
    real_tokens_per_second: float
    peak_memory_bytes: int  # of the card on a GPU, of the whole process on a CPU
    kept_epoch: int
    counts: Mapping[str, int]  # how the rows were chosen, if the algorithm chose them
    history: list[dict[str, float]]
