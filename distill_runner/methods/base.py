"""What an algorithm is: settings, what it needs, and the updates of one step.

An algorithm says *what* to minimise for *whom*, in order; the loop scales, clips,
steps, counts, logs and checkpoints. Nothing outside asks for its name: what the
rest of the program must know is declared on the class.
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
    """Use of the rows that the split leaves over, their labels hidden."""

    ratio: float  # rows of the pool for each labelled one, at most
    repeats: bool  # a row may be taken more than once

    def most_rows(self, labelled: int, pool: int) -> int:
        """The most rows that a stage trains on, of so many."""
        wanted = int(self.ratio * labelled)
        return labelled + (wanted if self.repeats else min(wanted, pool))


@dataclass(frozen=True)
class Needs:
    """What must be there before the first step."""

    teachers: TeacherUse = "none"
    trained_teachers: tuple[int, ...] | None = None  # positions of those trained; None: all
    teacher_dropout: bool = False  # teachers that are trained read with dropout on
    joined: bool = True  # the teachers' answers become one; else each has an output of its own
    labels: bool = True  # without, the classifier itself learns nothing
    quiz: bool = False  # held-out labelled rows that no learner trains on
    classes: bool = False  # answers that are distributions, not one score
    pool: Pool | None = None
    language: bool = False  # the first teacher before its fine-tuning, token by token

    def positions_trained(self, count: int) -> tuple[int, ...]:
        """Which of `count` teachers are trained, by position from 0."""
        if self.teachers != "trained":
            return ()
        return tuple(range(count)) if self.trained_teachers is None else self.trained_teachers


@dataclass(frozen=True)
class Passes:
    """Cost of one training row, in forward passes (a backward counts two)."""

    student: float = 3.0
    teacher: float = 0.0  # every epoch; a frozen teacher's single pass is counted apart


@dataclass(frozen=True)
class Update:
    """Minimise `loss` for the learners of `role`; `terms` are its parts, for the curves."""

    role: str
    loss: Tensor  # scalar, averaged over the micro-batch
    terms: Mapping[str, Tensor] = field(default_factory=dict)  # detached scalars


class NothingToLearn(Refused):
    """A stage's teachers leave it no rows to learn from; a chain ends before that stage."""


@dataclass(frozen=True)
class OptimizerSettings:
    """How the optimiser of some weights differs from the stage's; None keeps the stage's."""

    learning_rate: float | None = None
    weight_decay: float | None = None
    schedule: Schedule | None = None
    eps_factor: float = 1.0  # AdamW's eps is multiplied by this; of a role alone


@dataclass(frozen=True)
class Attachment:
    """A module that is trained with the student and is no part of the model that is deployed."""

    name: str
    module: nn.Module  # in `updates`: `batch.student.attached[name]`
    settings: OptimizerSettings = OptimizerSettings()


@dataclass(frozen=True)
class StartingStudent:
    """A stage's student before its first step."""

    learner: Learner  # on the CPU
    teachers: int  # how many teach
    classes: int  # outputs of the classifier
    seed: int  # of the stage
    language_head: Callable[[], LanguageHead]  # the teacher's where it fits, else a fresh one


@dataclass(frozen=True)
class OfferedRows:
    """The rows that a stage may train on."""

    labels: np.ndarray  # [rows], -1 where hidden
    classes: Sequence[str]
    teacher: str  # the teachers' labels, for a message
    logits: Callable[[], np.ndarray]  # [rows, classes], the joined teachers' on the clean text


@dataclass(frozen=True)
class RowChoice:
    """Which rows a stage trains on, and how the student reads them."""

    positions: np.ndarray | None = None  # into the offered rows, repeats allowed; None: all
    counts: Mapping[str, int] = field(default_factory=dict)  # printed, and part of the result
    hidden_words: float = 0.0  # share of a row's tokens that are hidden, 0..1


@dataclass(frozen=True, kw_only=True)
class Algorithm(ABC):
    """One algorithm box of a paper. Its fields are its YAML's keys.

    A subclass declares what it needs and costs, and has four hooks, in the order of a run:
    `check` refuses what cannot work, `prepare` changes the student before its first step,
    `rows` chooses what is learnt from, and `updates` says what each step minimises. Only
    `updates` must be written.

    Every class that is no mere base declares an `id` of its own. It stands in the keys of stored
    stages in place of the class's name and module, so it outlives both; a change of what the
    class computes is a new id.
    """

    id: ClassVar[str]
    roles: ClassVar[tuple[str, ...]] = ("student",)  # in the order in which they are updated
    accumulates: ClassVar[bool] = True  # k micro-batches mean the same as one batch
    passes: ClassVar[Passes] = Passes()

    # --- declarations --------------------------------------------------------------------

    @property
    @abstractmethod
    def needs(self) -> Needs:
        """What must be there before the first step; a class attribute where no setting decides."""

    @abstractmethod
    def formula(self, task: Task) -> str:
        """The loss with its settings filled in, as it is for that task; printed in every run."""

    def settings_of(self, role: str) -> OptimizerSettings:  # noqa: ARG002
        """How the optimiser of `role` is set."""
        return OptimizerSettings()

    def unread_settings(self) -> tuple[str, ...]:
        """Names of the fields that its other fields leave unread."""
        return ()

    def __post_init__(self) -> None:
        """Check each setting against its range.

        Raises:
            Refused: one is out of range.
        """
        check_values(self, "method")

    @classmethod
    def full_id(cls) -> str:
        """`id`, behind the package's name where the class is not one of this package."""
        package = cls.__module__.partition(".")[0]
        return cls.id if package == __name__.partition(".")[0] else f"{package}:{cls.id}"

    @classmethod
    def check_id(cls, *, key: str) -> None:
        """Refuse a class that declares no id, or has that of the class it derives from.

        Args:
            key: the configuration key that names the class.

        Raises:
            Refused: the id is missing or is no word.
        """
        declared = vars(cls).get("id")
        if not isinstance(declared, str) or not _ID.fullmatch(declared):
            raise Refused(
                f"{cls.__name__} declares no id of its own, by which the store knows its stages.",
                key=key,
                value=f"{cls.__module__}.{cls.__qualname__}",
                rule="a class with an id of lower-case letters, digits and _",
                way_out=f'id: ClassVar[str] = "{cls.__name__.lower()}" in that class',
            )

    # --- hooks ---------------------------------------------------------------------------

    def check(self, context: Context) -> None:  # noqa: B027
        """Refuse a stage in which this algorithm cannot work.

        It is called when the plan is made, and again once the models are found.

        Raises:
            Refused: at the first fault.
        """

    def prepare(self, student: StartingStudent) -> Sequence[Attachment]:  # noqa: ARG002
        """Change the student before its first step.

        Returns:
            Modules to train with it, each with optimiser settings of its own.
        """
        return ()

    def rows(self, offered: OfferedRows) -> RowChoice:  # noqa: ARG002
        """Choose the rows to train on.

        Raises:
            NothingToLearn: there are none.
        """
        return RowChoice()

    @abstractmethod
    def updates(self, batch: Batch) -> Iterator[Update]:
        """Yield one `Update` for each of `roles`, in that order, for one micro-batch.

        The loop steps a role's optimiser before it asks for the next update.
        """


def require(holds: bool, *, key: str, value: object, rule: str) -> None:
    """Refuse a setting that breaks its rule."""
    if not holds:
        raise Refused(f"{key} is out of range.", key=f"method.{key}", value=value, rule=rule)
