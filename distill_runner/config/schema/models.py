"""The models of a run: its teachers, its student, and small models built on the spot."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Optional

from omegaconf import MISSING

from distill_runner.config.schema.data import Missing
from distill_runner.config.schema.rules import (
    ABOVE_0,
    AT_LEAST_0,
    AT_LEAST_1,
    LEARNING_RATE,
    SHARE_BELOW_1,
    one_of,
)


class Start(Enum):
    """The weights that a student starts from."""

    pretrained = "pretrained"
    teacher = "teacher"
    pretrained_teacher = "pretrained_teacher"
    random = "random"


class Combine(Enum):
    """How the teachers' predictions are combined."""

    logit_mean = "logit_mean"
    prob_mean = "prob_mean"


class WeighBy(Enum):
    """What the teachers' weights are based on."""

    weights = "weights"
    validation = "validation"


class Finetune(Enum):
    """Whether teachers are fine-tuned."""

    auto = "auto"
    always = "always"
    never = "never"


class NearChance(Enum):
    """What happens if a teacher is not better than chance."""

    refuse = "refuse"
    allow = "allow"


@dataclass
class TeacherTraining:
    """How a teacher is fine-tuned before it teaches; the rest is as in `Training`."""

    # passes over the training rows; 0: the teacher is used as it is
    epochs: int = field(default=3, metadata=AT_LEAST_0)
    # rows per optimiser step
    batch_size: int = field(default=32, metadata=AT_LEAST_1)
    # AdamW's learning rate at the end of warm-up
    learning_rate: float = field(default=2.0e-5, metadata=LEARNING_RATE)
    # stop each teacher after this many optimiser steps; null: no limit
    max_steps: Optional[int] = field(default=None, metadata=AT_LEAST_1)


@dataclass
class Teacher:
    """A set of teachers, and how their predictions are combined."""

    # hub ids or folders, one per teacher
    models: list[str] = field(default_factory=list)
    # fine-tuning seed of each teacher; null: 1001, 1002, … (of pretrain.teacher: 2001, …)
    seeds: Optional[list[int]] = None
    # learning rate of each teacher; null: all have teacher.training.learning_rate
    learning_rates: Optional[list[float]] = field(default=None, metadata=LEARNING_RATE)
    # how the predictions of several teachers are combined: the mean of logits, or of probabilities
    combine: Combine = Combine.logit_mean
    # weight of each teacher in that mean; null: equal weights
    weights: Optional[list[float]] = field(default=None, metadata=ABOVE_0)
    # use weights, or the log odds of each teacher's validation accuracy
    weigh_by: WeighBy = WeighBy.weights
    # each teacher's logits are divided by its temperature before the mean; null: 1
    temperatures: Optional[list[float]] = field(default=None, metadata=ABOVE_0)
    # auto: fine-tune a teacher unless it is a trained classifier already
    finetune: Finetune = Finetune.auto
    # class names of a finished classifier whose config only says LABEL_0, LABEL_1, …
    labels: Optional[list[str]] = None
    # refuse or allow a teacher that is no better than always predicting the largest class
    near_chance: NearChance = NearChance.refuse
    # a file of answers, or a list of files, one per teacher; null: the teachers are models
    path: Any = None
    # refuse or drop training rows that the file does not answer, where they are above 1%
    missing: Missing = Missing.refuse
    training: TeacherTraining = field(default_factory=TeacherTraining)

    @property
    def files(self) -> list[str]:
        """The files of answers, one per teacher; none if the teachers are models."""
        if self.path is None:
            return []
        return [str(one) for one in (self.path if isinstance(self.path, list) else [self.path])]

    @property
    def count(self) -> int:
        """The number of teachers."""
        return len(self.files or self.models)


@dataclass
class Student:
    """The model that is trained and deployed."""

    # hub id or folder: architecture, tokenizer and weights
    model: str = MISSING
    # first weights: the model's own, layers of the first teacher (as fine-tuned, or as it was
    # before its fine-tuning), or random
    start: Start = Start.pretrained
    # which layers of those weights to keep, counted from 0; null: all, or evenly spread ones;
    # []: none, so that the student is static: its word embeddings are averaged
    layers: Optional[list[int]] = None


@dataclass
class BuiltModel:
    """A small model with random weights that stands in for a downloaded one."""

    # architecture
    family: str = field(default=MISSING, metadata=one_of(("bert", "roberta", "distilbert")))
    # transformer layers
    layers: int = field(default=2, metadata=AT_LEAST_1)
    # size of the hidden states
    width: int = field(default=64, metadata=AT_LEAST_1)
    # attention heads
    heads: int = field(default=4, metadata=AT_LEAST_1)
    # size of the feed-forward layers
    feedforward: int = field(default=128, metadata=AT_LEAST_1)
    # dropout everywhere in the model
    dropout: float = field(default=0.0, metadata=SHARE_BELOW_1)
    # entries of the tokenizer, which is trained on the training texts
    vocabulary: int = field(default=1000, metadata=AT_LEAST_1)
