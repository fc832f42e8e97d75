"""What is going to happen: a frozen, printable list of stages. `planning.py` makes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from distill_runner.config.schema import BuiltModel, Combine, Noise, Start, Training, WeighBy

if TYPE_CHECKING:
    from distill_runner.methods.base import Algorithm


POOL = "rest"  # the split of labelled rows that no other split took
UNLABELLED = "unlabelled"  # the split of rows that came without labels
TASK = "task"  # the data that a run is about
PRETRAIN = "pretrain"  # the data that a first stage learns from


@dataclass(frozen=True)
class ModelSpec:
    """Where a learner's architecture, tokenizer and first weights come from."""

    id: str  # hub id or folder
    start: Start = Start.pretrained
    layers: tuple[int, ...] | None = None
    built: BuiltModel | None = None  # built here instead of fetched
    labels: tuple[str, ...] | None = None  # names of a taken classifier's outputs
    taken: bool = False  # already a classifier, used as it is
    asked: str = "student.model"  # the key that names it


@dataclass(frozen=True)
class Stage:
    """Train this learner, from this start, under these teachers, with this algorithm."""

    name: str
    learner: ModelSpec
    algorithm: Algorithm
    training: Training
    seed: int
    start: str | None = None  # the stage whose student goes on; None: the learner's own start
    layers_from: str | None = None  # the stage whose layers the learner starts from
    body: str | None = None  # the teacher's stage whose model is read as it was before that stage
    teachers: tuple[str, ...] = ()  # stages whose students teach
    data: str = TASK  # TASK or PRETRAIN
    fresh_head: bool = False  # of what `start` left, the body alone goes on
    combine: Combine = Combine.logit_mean
    weights: tuple[float, ...] = ()
    weigh_by: WeighBy = WeighBy.weights
    temperatures: tuple[float, ...] = ()  # each teacher's own; none: 1
    rows: tuple[str, ...] = ("train",)
    noise: Noise | None = None
    first_epoch: int = 0  # epochs that the stages before it have run on this learner
    like: tuple[str, ...] = ()  # a baseline's: one of these is deployed (`baseline.trained_like`)

    @property
    def layers_before(self) -> str | None:
        """The stage whose model, as it was before, gives the learner its layers."""
        wanted = self.start is None and self.learner.start is Start.pretrained_teacher
        return self.body if wanted else None

    @property
    def needs_stages(self) -> tuple[str, ...]:
        """The stages whose artifacts this one reads."""
        before = [name for name in (self.start, self.layers_from) if name]
        return (*before, *self.teachers)


@dataclass(frozen=True)
class Plan:
    """What is going to happen, in order."""

    stages: tuple[Stage, ...]
    deployed: str  # name of the stage whose student is the result
    baseline: str | None  # name of the stage that is the same student without a teacher
    teachers: tuple[str, ...]  # names of the configured teachers' stages
    pretrain_teachers: tuple[str, ...]  # of those that teach on the pretraining data alone
    members: tuple[str, ...]  # stages that are deployed together; none: `deployed` alone
    chain: tuple[str, ...]  # repetitions that learn from one another, the deployed one among them
    stopping: tuple[str, ...]  # repetitions that end where validation gets no better
    method: str

    @property
    def data(self) -> tuple[str, ...]:
        """The data sets that the stages read, the task's first."""
        return tuple(sorted({TASK, *(stage.data for stage in self.stages)}, reverse=True))

    def reads_unlabelled(self, data: str) -> bool:
        """Whether any stage learns from that data set's texts without labels."""
        return any(stage.data == data and UNLABELLED in stage.rows for stage in self.stages)

    @property
    def all_teachers(self) -> tuple[str, ...]:
        """Names of every stage that makes or takes a configured teacher."""
        return (*self.teachers, *self.pretrain_teachers)

    @property
    def candidates(self) -> tuple[str, ...]:
        """The stages of which one will be deployed."""
        if self.stopping:
            return self.stopping
        # A teacher that is sure of nothing ends a chain.
        may_end = any(POOL in self.stage(name).rows for name in self.chain)
        return self.chain if may_end else (self.deployed,)

    def lineage(self, name: str) -> tuple[Stage, ...]:
        """The stage and those that its learner has been through before it, the last first."""
        stage = self.stage(name)
        return (stage, *(self.lineage(stage.start) if stage.start else ()))

    def from_random(self, name: str) -> bool:
        """Whether the learner, or the one that gave it its layers, began as random weights."""
        first = self.lineage(name)[-1]
        giver = first.layers_from or first.layers_before
        return self.from_random(giver) if giver else first.learner.start is Start.random

    def stage(self, name: str) -> Stage:
        return next(stage for stage in self.stages if stage.name == name)


def steps_of(training: Training, rows: int) -> int:
    """Optimiser steps of a stage over that many rows."""
    total = training.epochs * -(-rows // training.batch_size)
    return total if training.max_steps is None else min(total, training.max_steps)


def passes_of(stage: Stage, rows: int) -> tuple[float, float]:
    """Rows that a stage sends through its learner and through each of its teachers.

    A backward pass counts as two.
    """
    visits = min(
        steps_of(stage.training, rows) * stage.training.batch_size, stage.training.epochs * rows
    )
    passes = stage.algorithm.passes
    if not stage.teachers and not (stage.body and stage.algorithm.needs.language):
        return passes.student * visits, 0.0
    # A frozen teacher reads each row once.
    frozen = stage.algorithm.needs.teachers == "frozen"
    return passes.student * visits, float(min(rows, visits) if frozen else passes.teacher * visits)
