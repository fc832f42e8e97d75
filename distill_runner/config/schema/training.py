"""Settings of a learner's training, and of the measurements on trained models."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Optional

from distill_runner.config.schema.rules import (
    AT_LEAST_0,
    AT_LEAST_1,
    LEARNING_RATE,
    LEFT_OUT_BY_DEFAULT,
    SHARE,
    SHARE_BELOW_1,
)


class Select(Enum):
    """The epoch whose weights are kept."""

    last = "last"
    best_validation = "best_validation"


class Schedule(Enum):
    """How the learning rate changes after the warm-up."""

    linear = "linear"
    cosine = "cosine"
    constant = "constant"


class Batching(Enum):
    """How rows are grouped into batches."""

    by_length = "by_length"
    random = "random"


class ClassWeights(Enum):
    """How much a row's label counts in the loss."""

    none = "none"
    balanced = "balanced"


class BaselineSteps(Enum):
    """How long the baseline is trained."""

    match = "match"
    epochs = "epochs"
    best_epoch = "best_epoch"


@dataclass
class Training:
    """How one learner is trained."""

    # passes over the training rows
    epochs: int = field(default=15, metadata=AT_LEAST_1)
    # rows per optimiser step
    batch_size: int = field(default=32, metadata=AT_LEAST_1)
    # AdamW's learning rate at the end of warm-up
    learning_rate: float = field(default=2.0e-5, metadata=LEARNING_RATE)
    # AdamW's weight decay; biases and LayerNorm are left out
    weight_decay: float = field(default=0.01, metadata=SHARE_BELOW_1)
    # share of all steps over which the learning rate rises
    warmup_fraction: float = field(default=0.06, metadata=SHARE)
    # after warm-up the learning rate falls to zero along a line or a cosine, or stays constant
    schedule: Schedule = Schedule.linear
    # largest gradient norm of a learner; 0 disables clipping
    clip_norm: float = field(default=1.0, metadata=AT_LEAST_0)
    # stop every stage of a student after this many optimiser steps; null: no limit
    max_steps: Optional[int] = field(default=None, metadata=AT_LEAST_1)
    # which epoch's weights are kept: the last, or the best on validation
    select: Select = Select.last
    # which rows share a batch: rows in random order, or rows of similar length
    batching: Batching = Batching.random
    # micro-batches per optimiser step, up to batch_size; more of them need less memory
    accumulate: int = field(default=1, metadata=AT_LEAST_1)
    # balanced: the loss of a label is weighted by 1 over its class's share of the training rows
    class_weights: ClassWeights = field(default=ClassWeights.none, metadata=LEFT_OUT_BY_DEFAULT)


@dataclass
class Tune:
    """The trials that the deployed student and its baseline both get; validation chooses."""

    # AdamW's learning rates to try on the deployed stage and on the student without a teacher,
    # in place of their own; empty: not varied
    learning_rates: list[float] = field(default_factory=list, metadata=LEARNING_RATE)
    # passes over the rows to try on both, each with every learning rate; empty: not varied
    epochs: list[int] = field(default_factory=list, metadata=AT_LEAST_1)


@dataclass
class Evaluation:
    """What is measured on the trained models besides their scores."""

    # how long the student without a teacher is trained. match: as many optimiser steps as the
    # deployed student made in all its stages, if that is more than training.epochs; epochs:
    # training.epochs; best_epoch: as match, and the epoch that is best on validation is kept
    baseline_steps: BaselineSteps = BaselineSteps.match
    # accuracy under every kind of noise at these probabilities per word; null: not measured
    robustness: Optional[list[float]] = field(default=None, metadata=SHARE)
    # time teachers and student on test rows, one by one and in batches
    latency: bool = False
    # fit the student's decision threshold for the second of two classes on validation
    threshold: bool = False
