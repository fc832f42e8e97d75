"""Knowledge distillation under frozen teachers (Hinton, Vinyals & Dean 2015, section 2).

    distill-run method=kd teacher=bert method.temperature=2 method.alpha=0.5

On speech the authors tried T = 1, 2, 5 and 10 and kept 2; with a student far smaller than its
teacher, intermediate temperatures did best. Expect a gain of about a point if the teacher is
clearly ahead of the fine-tuned student, and none if it is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from distill_runner.config.schema import Combine
from distill_runner.config.schema.rules import ABOVE_0, SHARE, one_of
from distill_runner.errors import Refused
from distill_runner.methods.base import Algorithm, Needs, Passes, Update
from distill_runner.methods.batch import Batch, Loss, Rows
from distill_runner.objectives.comparisons import RAW_LOGITS
from distill_runner.objectives.logits import (
    SOFT_LOSSES,
    distillation_formula,
    soft_formula,
    soft_loss,
)
from distill_runner.planning.stage_context import Context
from distill_runner.tasks.base import Task
from distill_runner.tasks.rules import TaskRules


@dataclass(frozen=True, kw_only=True)
class SoftTargets(Algorithm):
    """The settings and the loss shared by all methods with soft targets (section 2).

        L = (1 − α)·hard(y, s) + α·soft(s, t, T)

    The hard loss is the task's: cross-entropy for classes, squared error for scores, and
    binary cross-entropy for label sets.

    Args:
        temperature: T > 0; 1 leaves the distributions as they are.
        alpha: weight of the *soft* term, 0..1; 0: labels only, 1: teacher only.
        soft_loss: a key of `objectives.logits.SOFT_LOSSES`.

    Raises:
        Refused: a setting is out of range.
    """

    temperature: float = field(metadata=ABOVE_0)
    alpha: float = field(metadata=SHARE)
    soft_loss: str = field(metadata=one_of(SOFT_LOSSES))

    def formula(self, task: Task) -> str:
        return distillation_formula(
            self.soft_loss, hard=task.hard_name, alpha=self.alpha, temperature=self.temperature
        )

    def unread_settings(self) -> tuple[str, ...]:
        return ("temperature",) if self._compares == RAW_LOGITS else ()

    def check(self, context: Context) -> None:
        self._check_task(context.task)
        if self._compares == RAW_LOGITS:
            context.check_raw_logits(way_out=f"method.soft_loss={context.task.soft_loss}")
        if context.combine is Combine.prob_mean and self._compares == RAW_LOGITS:
            raise Refused(
                "A mean of probabilities has no raw logits to regress on.",
                key="teacher.combine",
                value=context.combine.value,
                rule="method.soft_loss=mse_logits needs logit_mean",
                way_out="teacher.combine=logit_mean",
            )

    def _check_task(self, rules: TaskRules) -> None:
        if self._compares in rules.compares:
            return
        good = [name for name, loss in SOFT_LOSSES.items() if loss.compares in rules.compares]
        raise Refused(
            f"This soft loss compares {self._compares}, but {rules.answer} has none.",
            key="method.soft_loss",
            value=self.soft_loss,
            rule=f"{', '.join(good)} under dataset.task={rules.kind.value}",
            way_out=f"method.soft_loss={good[0]}",
        )

    @property
    def _compares(self) -> str:
        return SOFT_LOSSES[self.soft_loss].compares

    def distillation_loss(
        self, task: Task, student_logits: Tensor, teacher_logits: Tensor, labels: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted loss, and its two terms unweighted and detached.

        Args:
            task: provides the hard loss.
            student_logits: [batch, outputs].
            teacher_logits: [batch, outputs], joined over the teachers.
            labels: [batch], or [batch, outputs] where a row has several.
        """
        hard = task.hard_loss(student_logits, labels)
        soft = self.soft_term(student_logits, teacher_logits)
        loss = (1 - self.alpha) * hard + self.alpha * soft
        return loss, {"hard": hard.detach(), "soft": soft.detach()}

    def soft_term(self, student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
        """Return the soft loss, averaged over the rows; both logits are [batch, outputs]."""
        return soft_loss(self.soft_loss).function(student_logits, teacher_logits, self.temperature)


@dataclass(frozen=True, kw_only=True)
class KD(SoftTargets):
    """The student learns from labels and frozen teachers' soft targets; loss of `SoftTargets`.

    A row without a label has only the soft term, as at α = 1.
    """

    id: ClassVar[str] = "kd"
    needs: ClassVar[Needs] = Needs(teachers="frozen")
    passes: ClassVar[Passes] = Passes(student=3)
    learns_unlabelled: ClassVar[bool] = True
    settings_of_labels: ClassVar[tuple[str, ...] | None] = ("alpha",)

    def formula_without_labels(self) -> str:
        return soft_formula(self.soft_loss, self.temperature)

    def updates(self, batch: Batch) -> Iterator[Update]:
        student, teacher = batch.student_logits(), batch.joined_teacher_logits(self.temperature)

        def with_labels(rows: Rows) -> Loss:
            return self.distillation_loss(
                batch.task, student[rows], teacher[rows], batch.labels[rows]
            )

        def without_labels(rows: Rows) -> Loss:
            soft = self.soft_term(student[rows], teacher[rows])
            return soft, {"soft": soft.detach()}

        yield Update("student", *batch.mean_over_rows(with_labels, without_labels))
