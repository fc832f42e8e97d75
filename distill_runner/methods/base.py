"""The interface of an algorithm: its settings, its needs, and the updates of one step.

An algorithm yields *what* to minimise for *which* learners, in order; the loop scales, clips,
steps, counts, logs and writes checkpoints. No other module looks an algorithm up by its name:
the class declares what the rest of the program must know.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
from torch import Tensor, nn

from distill_runner.config.schema import Schedule
from distill_runner.config.schema.rules import check_values
from distill_runner.errors import Refused
from distill_runner.methods.batch import Batch
from distill_runner.models.language import LanguageHead
from distill_runner.models.learner import Learner
from distill_runner.planning.stage_context import Context
from distill_runner.tasks.base import Task

_ID = re.compile(r"[a-z][a-z0-9_]*")

TeacherUse = Literal["none", "frozen", "trained"]


@dataclass(frozen=True)
class Pool:
    """How a stage chooses among the rows without labels."""

    ratio: float  # at most this many pool rows per labelled row
    repeats: bool  # whether a row may be taken more than once

    def most_rows(self, labelled: int, pool: int) -> int:
        """Return the largest number of rows that a stage can train on.

        Args:
            labelled: number of labelled rows.
            pool: number of rows in the pool.
        """
        wanted = int(self.ratio * labelled)
        return labelled + (wanted if self.repeats else min(wanted, pool))


@dataclass(frozen=True)
class Needs:
    """What an algorithm needs before its first step."""

    teachers: TeacherUse = "none"
    trained_teachers: tuple[int, ...] | None = None  # positions of those trained; None: all
    teacher_dropout: bool = False  # trained teachers run with dropout on
    joined: bool = True  # the teachers' logits are joined; False: one soft head per teacher
    labels: bool = True  # False: the stage reads no labels, and the classifier learns nothing
    quiz: bool = False  # held-out labelled rows that no learner trains on
    classes: bool = False  # a task whose predictions are distributions over classes
    pool: Pool | None = None
    language: bool = False  # the first teacher before its fine-tuning, with outputs per token

    def positions_trained(self, count: int) -> tuple[int, ...]:
        """Return the positions, from 0, of those of `count` teachers that are trained."""
        if self.teachers != "trained":
            return ()
        return tuple(range(count)) if self.trained_teachers is None else self.trained_teachers


@dataclass(frozen=True)
class Passes:
    """Cost of one training row in forward passes; a backward pass counts as two."""

    student: float = 3.0
    teacher: float = 0.0  # in every epoch; a frozen teacher's single pass is counted separately


@dataclass(frozen=True)
class Update:
    """A loss to minimise for the learners of `role`; `terms` are its parts, for the curves."""

    role: str
    loss: Tensor  # scalar, averaged over the micro-batch
    terms: Mapping[str, Tensor] = field(default_factory=dict)  # detached scalars


class NothingToLearn(Refused):
    """A stage's teachers leave it no rows to learn from; a chain ends before such a stage."""


@dataclass(frozen=True)
class OptimizerSettings:
    """How the optimiser of some weights differs from the stage's; None keeps its value."""

    learning_rate: float | None = None
    weight_decay: float | None = None
    schedule: Schedule | None = None
    eps_factor: float = 1.0  # multiplies AdamW's eps; has effect for a role only


@dataclass(frozen=True)
class Attachment:
    """A module that is trained with the student but is not part of the deployed model."""

    name: str
    module: nn.Module  # in `updates`: `batch.student.attached[name]`
    settings: OptimizerSettings = OptimizerSettings()


@dataclass(frozen=True)
class StartingStudent:
    """A stage's student before its first step."""

    learner: Learner  # on the CPU
    teachers: int  # number of the stage's teachers
    classes: int  # number of the classifier's outputs
    seed: int  # the stage's seed
    language_head: Callable[[], LanguageHead]  # the teacher's if it fits, else a fresh one


@dataclass(frozen=True)
class OfferedRows:
    """The rows that a stage may train on."""

    labels: np.ndarray  # [rows], -1 where hidden
    classes: Sequence[str]
    teacher: str  # the teachers' names, for messages
    # [rows, classes], joined over teachers, on the clean text; only of frozen teachers, with a pool
    logits: Callable[[], np.ndarray]


@dataclass(frozen=True)
class RowChoice:
    """The rows that a stage trains on, and the share of their tokens that it hides."""

    positions: np.ndarray | None = None  # into the offered rows, repeats allowed; None: all
    counts: Mapping[str, int] = field(default_factory=dict)  # printed, and part of the result
    hidden_words: float = 0.0  # share of each row's tokens to hide, 0..1


@dataclass(frozen=True, kw_only=True)
class Algorithm(ABC):
    """One algorithm box of a paper; its fields are the keys of its YAML.

    A subclass declares what it needs and what it costs. Four hooks are called in this order:
    `check` refuses a stage that cannot work, `prepare` changes the student before its first
    step, `rows` chooses the rows to learn from, and `updates` yields what each step minimises.
    Of the hooks, only `updates` must be written.

    Every concrete class declares its own `id`. The keys of stored stages contain the id, not the
    class's name or module, so a class can be renamed or moved. If what the class computes
    changes, it needs a new id.
    """

    id: ClassVar[str]
    roles: ClassVar[tuple[str, ...]] = ("student",)  # in the order of their updates
    accumulates: ClassVar[bool] = True  # k micro-batches give the same update as one batch
    passes: ClassVar[Passes] = Passes()
    # whether its loss of a row without a label is that of its teachers alone
    learns_unlabelled: ClassVar[bool] = False
    # the fields that only its loss of labelled rows reads, if rows without a label alone train the
    # whole student; None: it needs labelled rows
    settings_of_labels: ClassVar[tuple[str, ...] | None] = None

    # --- declarations --------------------------------------------------------------------

    @property
    @abstractmethod
    def needs(self) -> Needs:
        """What the algorithm needs; a class attribute if no setting changes it."""

    @abstractmethod
    def formula(self, task: Task) -> str:
        """Return the loss for this task with its settings filled in; every run prints it."""

    def formula_without_labels(self) -> str:
        """Return the loss of a row without a label; empty unless `learns_unlabelled`."""
        return ""

    def settings_of(self, role: str) -> OptimizerSettings:  # noqa: ARG002
        """Return how the optimiser of `role` differs from the stage's."""
        return OptimizerSettings()

    def unread_settings(self) -> tuple[str, ...]:
        """Return the names of the fields that have no effect under the other fields' values."""
        return ()

    def __post_init__(self) -> None:
        """Check each setting against its range.

        Raises:
            Refused: a setting is out of range.
        """
        check_values(self, "method")

    @classmethod
    def full_id(cls) -> str:
        """Return `id`, prefixed with the package's name if that is not this package."""
        package = cls.__module__.partition(".")[0]
        return cls.id if package == __name__.partition(".")[0] else f"{package}:{cls.id}"

    @classmethod
    def check_id(cls, *, key: str) -> None:
        """Refuse a class that does not declare its own id; an inherited one does not count.

        Args:
            key: the configuration key that names the class.

        Raises:
            Refused: the id is missing or malformed.
        """
        declared = vars(cls).get("id")
        if not isinstance(declared, str) or not _ID.fullmatch(declared):
            raise Refused(
                f"{cls.__name__} declares no id of its own; the store finds its stages by it.",
                key=key,
                value=f"{cls.__module__}.{cls.__qualname__}",
                rule="a class with an id of lower-case letters, digits and _",
                way_out=f'id: ClassVar[str] = "{cls.__name__.lower()}" in that class',
            )

    # --- hooks ---------------------------------------------------------------------------

    def check(self, context: Context) -> None:  # noqa: B027
        """Refuse a stage in which this algorithm cannot work.

        Called when the plan is made, and again after the models have been found.

        Raises:
            Refused: the stage cannot work; names the first fault.
        """

    def prepare(self, student: StartingStudent) -> Sequence[Attachment]:  # noqa: ARG002
        """Change the student before its first step.

        Returns:
            Modules to train with the student, each with its own optimiser settings.
        """
        return ()

    def rows(self, offered: OfferedRows) -> RowChoice:  # noqa: ARG002
        """Choose the rows to train on.

        Raises:
            NothingToLearn: no row can be chosen.
        """
        return RowChoice()

    @abstractmethod
    def updates(self, batch: Batch) -> Iterator[Update]:
        """Yield one `Update` for each of `roles`, in that order, for one micro-batch.

        The loop steps a role's optimiser before it asks for the next update.
        """


def require(holds: bool, *, key: str, value: object, rule: str) -> None:
    """Refuse a setting unless its rule holds.

    Raises:
        Refused: `holds` is false.
    """
    if not holds:
        raise Refused(f"{key} is out of range.", key=f"method.{key}", value=value, rule=rule)
