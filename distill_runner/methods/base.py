"""What an algorithm is: settings, what it needs, and the updates of one step.

An algorithm says *what* to minimise for *whom*, in order; the loop scales, clips,
steps, counts, logs and checkpoints. Nothing outside asks for its name: what the
rest of the program must know is declared on the class.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
from torch import Tensor

from distill_runner.config.schema.rules import check_values
from distill_runner.errors import Refused
from distill_runner.methods.batch import Scene
from distill_runner.tasks.base import Task
from distill_runner.tasks.rules import TaskRules

_ID = re.compile(r"[a-z][a-z0-9_]*")

TeacherUse = Literal["none", "frozen", "trained"]


@dataclass(frozen=True)
class Needs:
    """What must be there before the first step."""

    teachers: TeacherUse = "none"
    teacher_dropout: bool = False  # teachers that are trained read with dropout on
    quiz: bool = False  # held-out labelled rows that no learner trains on
    classes: bool = False  # answers that are distributions, not one score
    pool: bool = False  # the rows that the split leaves over, their labels hidden
    language: bool = False  # words hidden, and the first teacher before its fine-tuning


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


@dataclass(frozen=True)
class Choice:
    """Which rows a stage trains on, and how that came about."""

    positions: np.ndarray  # [rows to train on], into the rows on offer; a row may be repeated
    counts: Mapping[str, int]  # printed, and part of the result


class NothingToLearn(Refused):
    """A stage's teachers leave it no rows to learn from; a chain ends before that stage."""


@dataclass(frozen=True)
class RoleSettings:
    """How a role's optimiser differs from the stage's; None keeps the stage's."""

    learning_rate: float | None = None
    eps_factor: float = 1.0  # AdamW's eps is multiplied by this


@dataclass(frozen=True, kw_only=True)
class Algorithm(ABC):
    """One algorithm box of a paper. Its fields are its YAML's keys.

    Every class that is no mere base declares an `id` of its own. It stands in the keys of stored
    stages in place of the class's name and module, so it outlives both; a change of what the
    class computes is a new id.
    """

    id: ClassVar[str]
    needs: ClassVar[Needs]
    roles: ClassVar[tuple[str, ...]] = ("student",)  # in the order in which they are updated
    accumulates: ClassVar[bool] = True  # k micro-batches mean the same as one batch
    passes: ClassVar[Passes] = Passes()

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

    @abstractmethod
    def updates(self, scene: Scene) -> Iterator[Update]:
        """Yield one `Update` for each of `roles`, in that order, for one micro-batch.

        The loop steps a role's optimiser before it asks for the next update.
        """

    @abstractmethod
    def formula(self, task: Task) -> str:
        """The loss with its settings filled in, as it is for that task; printed in every run."""

    def settings_of(self, role: str) -> RoleSettings:  # noqa: ARG002
        """How the optimiser of `role` is set."""
        return RoleSettings()

    def trained_teachers(self, count: int) -> tuple[int, ...]:
        """Which of `count` teachers this algorithm trains, by position."""
        return tuple(range(count)) if self.needs.teachers == "trained" else ()

    def soft_heads(self, teachers: int) -> int:  # noqa: ARG002
        """How many heads the student has beside its classifier, under so many teachers."""
        return 0

    @property
    def reads_labels(self) -> bool:
        """Whether the rows must have labels; without, the classifier itself learns nothing."""
        return True

    def hidden_words(self) -> float:
        """The share of a row's tokens that are hidden, 0..1, where the algorithm needs language."""
        return 0.0

    def check_language(self, *, teacher_head: bool, same_width: bool) -> None:  # noqa: B027
        """Refuse a teacher of language that this algorithm cannot learn from.

        Args:
            teacher_head: whether its checkpoint has a masked-LM head.
            same_width: whether its states are as wide as the student's.
        """

    def skips_layers(self) -> float:
        """The chance that a pass of the student in training skips its last layer, 0..1.

        Earlier layers are skipped less (`models.depth`). Where a method sets it, its YAML calls
        it `stochastic_depth`.
        """
        return 0.0

    @property
    def differentiates_forwards(self) -> bool:
        """Whether it takes forward-mode derivatives of the student."""
        return False

    def left_aside(self) -> tuple[str, ...]:
        """The settings that its other settings leave unread."""
        return ()

    def choose(
        self,
        labels: np.ndarray,
        signals: np.ndarray,  # noqa: ARG002
        *,
        classes: Sequence[str],  # noqa: ARG002
        teacher: str,  # noqa: ARG002
    ) -> Choice:
        """The rows to train on, where the algorithm needs a pool: all, if it does not choose.

        Args:
            labels: [rows], -1 where hidden.
            signals: [rows, classes], the joined teachers' logits on the clean rows.
            classes: their names.
            teacher: the teachers' names, for a message.

        Raises:
            NothingToLearn: there are none.
        """
        return Choice(np.arange(len(labels)), {})

    def most_rows(self, labelled: int, pool: int) -> int:
        """The most rows that `choose` may leave, of so many."""
        return labelled + pool

    def check_combination(self, combine: str) -> None:  # noqa: B027
        """Refuse a way of joining several teachers that this algorithm cannot use."""

    def check_task(self, rules: TaskRules) -> None:  # noqa: B027
        """Refuse settings that make no sense for that kind of task."""


def require(holds: bool, *, key: str, value: object, rule: str) -> None:
    """Refuse a setting that breaks its rule."""
    if not holds:
        raise Refused(f"{key} is out of range.", key=f"method.{key}", value=value, rule=rule)
