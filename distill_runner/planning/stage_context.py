"""The facts about a stage that its algorithm can check before anything is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from distill_runner.config.schema import Combine
from distill_runner.errors import Refused
from distill_runner.tasks.rules import TaskRules


@dataclass(frozen=True)
class StageModels:
    """A stage's models as their configs describe them."""

    key: str  # the configuration key that names the student
    student: Callable[[], Any]  # makes a transformers classifier without weights
    teacher_has_language_head: bool = False
    teacher_is_as_wide: bool = False  # as the student; only known with `needs.language`


@dataclass(frozen=True)
class Context:
    """The facts that are known about a stage before it is trained."""

    stage: str
    teachers: int  # how many teach
    combine: Combine  # how their outputs are combined
    task: TaskRules
    compiled: bool  # `runtime.compile`
    label_file: str | None = None  # a teacher that is a file with labels, whose logits are made up
    models: StageModels | None = None  # None while the plan is made, before models are located

    def check_raw_logits(self, *, way_out: str) -> None:
        """Refuse teachers' labels for a loss that compares raw logits.

        Raises:
            Refused: a teacher is a file with labels.
        """
        if self.label_file is not None:
            raise Refused(
                "The file of answers has labels, which have no raw logits to regress on.",
                key="teacher.path",
                value=self.label_file,
                rule="probabilities or logits in the file, for a loss that compares raw logits",
                way_out=way_out,
            )
