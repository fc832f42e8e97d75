"""The plan: a frozen, printable list of stages, made by `planner` from a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING

from distill_runner.config.schema import (
    BuiltModel,
    ClassWeights,
    Combine,
    Noise,
    Training,
    Unlabelled,
    WeighBy,
)
from distill_runner.planning.initialisation import (
    AnswersFile,
    EarlierStudent,
    FinetunedClassifier,
    Initialisation,
    PretrainedWeights,
    RandomWeights,
    TeacherLayers,
)

if TYPE_CHECKING:
    from distill_runner.methods.base import Algorithm
    from distill_runner.tasks.base import Task


UNLABELLED = "unlabelled"  # the split of rows whose labels are unknown or hidden
TASK = "task"  # the data of the task itself
PRETRAIN = "pretrain"  # the data that a first stage learns from
WITHOUT_ANSWER = "_without_answer"  # after a split's name: its rows that a file does not answer
BASELINE = "baseline"  # the stage that trains the deployed student without a teacher


class Role(Enum):
    """The role of a stage's learner in the run."""

    teacher = "teacher"  # a configured teacher
    pretrain_teacher = "pretrain_teacher"  # one that teaches only on the pretraining data
    student = "student"
    baseline = "baseline"  # the student without a teacher


@dataclass(frozen=True)
class ModelSpec:
    """A learner's architecture and tokenizer."""

    id: str  # hub id or folder
    layers: tuple[int, ...] | None = None  # the layers to keep, 0-based; None: all
    built: BuiltModel | None = None  # built here instead of fetched
    labels: tuple[str, ...] | None = None  # output names of a classifier used as it is
    config_key: str = "student.model"  # the configuration key that names the model


@dataclass(frozen=True)
class Combination:
    """How the outputs of a stage's teachers are combined."""

    combine: Combine = Combine.logit_mean
    weights: tuple[float, ...] = ()  # of each teacher; they sum to 1
    weigh_by: WeighBy = WeighBy.weights
    temperatures: tuple[float, ...] = ()  # of each teacher; empty: all 1


@dataclass(frozen=True)
class Stage:
    """One learner's training: its first weights, its teachers, its algorithm and its rows."""

    name: str
    role: Role
    group: str  # the entry of the method's YAML; for teachers: teacher or pretrain
    learner: ModelSpec
    initialisation: Initialisation
    algorithm: Algorithm
    training: Training
    seed: int
    backbone_of: str | None = None  # the teacher whose model, before its stage, teaches language
    teachers: tuple[str, ...] = ()  # stages whose students teach
    data: str = TASK  # TASK or PRETRAIN
    combination: Combination = field(default_factory=Combination)
    rows: tuple[str, ...] = ("train",)
    noise: Noise | None = None
    first_epoch: int = 0  # epochs that the stages before it have run on this learner
    compared_with: tuple[str, ...] = ()  # for a baseline: the stages of which one is deployed

    @property
    def label(self) -> str:
        """The name in scores and curves: a teacher of the task goes by its model's name."""
        return self.name.partition("/")[2] if self.role is Role.teacher else self.name

    @property
    def is_teacher(self) -> bool:
        """Whether the learner is a configured teacher, of the task or of the pretraining data."""
        return self.role in (Role.teacher, Role.pretrain_teacher)

    @property
    def reads_task(self) -> bool:
        """Whether this stage uses classes, labels or validation rows.

        A stage that learns language does not: it reads only texts, and its classifier learns
        nothing.
        """
        return self.backbone_of is None

    def unread_settings(self) -> tuple[str, ...]:
        """Return the names of the algorithm's fields that have no effect in this stage."""
        of_labels = self.algorithm.settings_of_labels or ()
        without_labels = self.reads_task and self.rows == (UNLABELLED,)
        return (*self.algorithm.unread_settings(), *(of_labels if without_labels else ()))

    @property
    def chooses_rows(self) -> bool:
        """Whether the teachers choose, among the rows without labels, those to learn from."""
        return self.algorithm.needs.pool is not None

    def formula(self, task: Task) -> str:
        """Return the loss that the stage minimises, with its settings filled in."""
        formula = self.algorithm.formula(task)
        if self.training.class_weights is ClassWeights.balanced and self.reads_task:
            formula += f", {task.hard_name} weighted by 1 over the share of each class"
        if UNLABELLED not in self.rows or not self.algorithm.learns_unlabelled:
            return formula
        if self.rows == (UNLABELLED,):
            return f"L = {self.algorithm.formula_without_labels()}"
        return f"{formula}; without a label: {self.algorithm.formula_without_labels()}"

    @property
    def already_finetuned(self) -> bool:
        """Whether the learner is a classifier that was trained elsewhere."""
        return isinstance(self.initialisation, FinetunedClassifier)

    @property
    def answers(self) -> AnswersFile | None:
        """The file of a teacher that is a file; None if the learner is a model."""
        first = self.initialisation
        return first if isinstance(first, AnswersFile) else None

    @property
    def is_given(self) -> bool:
        """Whether the learner is used as it is: a finished classifier, or a file of answers."""
        return self.already_finetuned or self.answers is not None

    @property
    def reads_own_weights(self) -> bool:
        """Whether the first weights are read from the learner's own folder."""
        own = isinstance(self.initialisation, PretrainedWeights | FinetunedClassifier)
        return own and self.learner.built is None

    @property
    def starts_random(self) -> bool:
        """Whether the first weights are random, as those of a model built here always are."""
        return isinstance(self.initialisation, RandomWeights) or (
            self.already_finetuned and self.learner.built is not None
        )

    @property
    def earlier_stage(self) -> str | None:
        """The stage whose student this one continues training; None if there is none."""
        first = self.initialisation
        return first.stage if isinstance(first, EarlierStudent) else None

    @property
    def layers_of(self) -> str | None:
        """The teacher's stage from which the learner's layers are copied; None if there is none."""
        first = self.initialisation
        return first.teacher if isinstance(first, TeacherLayers) else None

    @property
    def needs_stages(self) -> tuple[str, ...]:
        """The stages whose artifacts this one reads."""
        first = self.initialisation
        copied = isinstance(first, TeacherLayers) and first.finetuned
        before = [name for name in (self.earlier_stage, self.layers_of if copied else None) if name]
        return (*before, *self.teachers)


@dataclass(frozen=True)
class TrialSettings:
    """The training that one trial gives to student and baseline alike; None: their own."""

    learning_rate: float | None
    epochs: int | None

    def apply(self, training: Training) -> Training:
        """Return the training as the trial changes it."""
        rate, epochs = self.learning_rate, self.epochs
        return replace(
            training,
            learning_rate=training.learning_rate if rate is None else rate,
            epochs=training.epochs if epochs is None else epochs,
        )


@dataclass(frozen=True)
class Plan:
    """The stages of a run in order, and which of their students are deployed.

    If there are trials, the stages are those of the first one.
    """

    stages: tuple[Stage, ...]
    deployed: str  # name of the stage whose student is the result
    baseline: str | None  # name of the stage that trains the same student without a teacher
    teachers: tuple[str, ...]  # names of the configured teachers' stages
    pretrain_teachers: tuple[str, ...]  # of those that teach only on the pretraining data
    members: tuple[str, ...]  # stages that are deployed together; empty: only `deployed`
    chain: tuple[str, ...]  # repetitions that each learn from the one before, `deployed` included
    stopping: tuple[str, ...]  # repetitions that stop once validation gets no better
    method: str
    trials: tuple[TrialSettings, ...] = ()  # two or more; empty: nothing is tuned

    @property
    def data(self) -> tuple[str, ...]:
        """The data sets that the stages read, the task's first."""
        return tuple(sorted({TASK, *(stage.data for stage in self.stages)}, reverse=True))

    def reads_unlabelled(self, data: str) -> bool:
        """Return whether any stage learns from that data set's texts without labels."""
        return any(stage.data == data and UNLABELLED in stage.rows for stage in self.stages)

    def reads_rest(self, data: str, wanted: Unlabelled) -> bool:
        """Return whether the rows that the split leaves over are among the texts without labels.

        Args:
            data: the data set.
            wanted: its settings of such texts. If they name none, a stage whose teachers choose
                rows chooses among those left over.
        """
        chosen = any(stage.data == data and stage.chooses_rows for stage in self.stages)
        return self.reads_unlabelled(data) and (wanted.rest or (chosen and not wanted.in_files))

    def file_teachers(self, stage: Stage) -> tuple[Stage, ...]:
        """Return those of the stage's teachers that are files."""
        return tuple(one for one in map(self.stage, stage.teachers) if one.answers is not None)

    def rows_of(self, stage: Stage, counts: Mapping[str, int]) -> int:
        """Count the rows that a stage learns; of a pool, all that it may choose from.

        Args:
            stage: of the plan.
            counts: rows of every split of its data, and those that its teachers' files lack.
        """
        rows = sum(counts[split] for split in stage.rows)
        if not self.file_teachers(stage):
            return rows
        return rows - sum(counts.get(f"{split}{WITHOUT_ANSWER}", 0) for split in stage.rows)

    @property
    def candidates(self) -> tuple[str, ...]:
        """The stages of which one will be deployed."""
        if self.stopping:
            return self.stopping
        # A teacher with no confident prediction for the pool ends a chain early.
        may_end = any(self.stage(name).chooses_rows for name in self.chain)
        return self.chain if may_end else (self.deployed,)

    def lineage(self, name: str) -> tuple[Stage, ...]:
        """Return the stage and the earlier stages of its learner, the latest first."""
        stage = self.stage(name)
        return (stage, *(self.lineage(stage.earlier_stage) if stage.earlier_stage else ()))

    def from_random(self, name: str) -> bool:
        """Return whether the learner, or the teacher it was cut from, began as random weights."""
        first = self.lineage(name)[-1]
        if first.layers_of:
            return self.from_random(first.layers_of)
        return first.starts_random

    def stage(self, name: str) -> Stage:
        """Return the stage of that name."""
        return next(stage for stage in self.stages if stage.name == name)


def steps_of(training: Training, rows: int) -> int:
    """Count the optimiser steps of a stage over that many rows."""
    total = training.epochs * -(-rows // training.batch_size)
    return total if training.max_steps is None else min(total, training.max_steps)


def passes_of(stage: Stage, rows: int) -> tuple[float, float]:
    """Count the rows that a stage passes through its learner and through each of its teachers.

    A backward pass counts as two.
    """
    visits = min(
        steps_of(stage.training, rows) * stage.training.batch_size, stage.training.epochs * rows
    )
    passes = stage.algorithm.passes
    if not stage.teachers and not stage.backbone_of:
        return passes.student * visits, 0.0
    # A frozen teacher reads each row once.
    frozen = stage.algorithm.needs.teachers == "frozen"
    return passes.student * visits, float(min(rows, visits) if frozen else passes.teacher * visits)
