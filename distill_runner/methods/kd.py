"""Knowledge distillation under frozen teachers (Hinton, Vinyals & Dean 2015, section 2).

    distill-run method=kd teacher=bert method.temperature=2 method.alpha=0.5

Hinton tried T in 1, 2, 5, 10 for speech and kept 2; with a student far smaller than
its teacher, intermediate temperatures did best. Expect a gain of about a point where
the teacher is clearly ahead of the fine-tuned student, and none where it is not.
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
from distill_runner.methods.batch import Batch
from distill_runner.objectives.logits import (
    OF_SCORES,
    SOFT_LOSSES,
    distillation_formula,
    hard_label_loss,
    soft_loss,
)
from distill_runner.planning.stage_context import Context


@dataclass(frozen=True, kw_only=True)
class SoftTargets(Algorithm):
    """The settings and the loss that every method with soft targets shares.

        L = (1 − α)·CE(y, s) + α·soft(s, t, T)

    With one output the hard term is the squared error, and `mse_logits` the only soft loss.

    Args:
        temperature: T > 0; 1 leaves the distributions as they are.
        alpha: weight of the *soft* term, 0..1; 0 = labels only, 1 = teacher only.
        soft_loss: a name of `objectives.logits.SOFT_LOSSES`.

    Raises:
        Refused: a setting is out of range.
    """

    temperature: float = field(metadata=ABOVE_0)
    alpha: float = field(metadata=SHARE)
    soft_loss: str = field(metadata=one_of(SOFT_LOSSES))

    def formula(self) -> str:
        return distillation_formula(self.soft_loss, alpha=self.alpha, temperature=self.temperature)

    def unread_settings(self) -> tuple[str, ...]:
        return ("temperature",) if self.soft_loss == "mse_logits" else ()

    def check(self, context: Context) -> None:
        if context.combine is Combine.prob_mean and self.soft_loss == "mse_logits":
            raise Refused(
                "A mean of probabilities has no raw logits to regress on.",
                key="teacher.combine",
                value=context.combine.value,
                rule="method.soft_loss=mse_logits needs logit_mean",
                way_out="teacher.combine=logit_mean",
            )

    def check_regression(self) -> None:
        if self.soft_loss not in OF_SCORES:
            raise Refused(
                "This soft loss compares distributions, and a score is none.",
                key="method.soft_loss",
                value=self.soft_loss,
                rule=f"{', '.join(OF_SCORES)} under dataset.task=regression",
                way_out=f"method.soft_loss={OF_SCORES[0]}",
            )

    def distillation_loss(
        self, student_logits: Tensor, teacher_logits: Tensor, labels: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The mixed loss and its two parts, unweighted and detached.

        Args:
            student_logits: [batch, classes].
            teacher_logits: [batch, classes], already joined over the teachers.
            labels: [batch].
        """
        hard = hard_label_loss(student_logits, labels)
        soft = soft_loss(self.soft_loss)(student_logits, teacher_logits, self.temperature)
        loss = (1 - self.alpha) * hard + self.alpha * soft
        return loss, {"hard": hard.detach(), "soft": soft.detach()}


@dataclass(frozen=True, kw_only=True)
class KD(SoftTargets):
    """The student learns from hard labels and from frozen teachers' soft targets."""

    id: ClassVar[str] = "kd"
    needs: ClassVar[Needs] = Needs(teachers="frozen")
    passes: ClassVar[Passes] = Passes(student=3)

    def updates(self, batch: Batch) -> Iterator[Update]:
        teacher_logits = batch.teacher_logits(self.temperature)
        loss, terms = self.distillation_loss(batch.student_logits(), teacher_logits, batch.labels)
        yield Update("student", loss, terms)
