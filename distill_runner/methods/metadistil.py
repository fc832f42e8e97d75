"""MetaDistil: the teacher learns to teach (Zhou, Xu & McAuley, ACL 2022, algorithm 2).

    distill-run method=metadistil teacher=bert+roberta

Each step takes a pilot step with the student, quizzes the student that results on held-out
labels, updates the teachers by the gradient of the quiz loss *through* the pilot step, and then
takes the real student step on the same batch under the updated teachers.

An independent run of the authors' code found it level with plain KD on SST-2: compare the two
over several seeds before you trust either.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Optional

import torch

from distill_runner.config.schema.rules import ABOVE_0, AT_LEAST_0, AT_LEAST_1, one_of
from distill_runner.methods.base import Needs, OptimizerSettings, Passes, Update, require
from distill_runner.methods.batch import Batch
from distill_runner.methods.kd import SoftTargets
from distill_runner.methods.pilot import (
    DERIVATIVES,
    Pilot,
    finite_difference,
    jvp,
    pilot_forward,
    teacher_surrogate,
)
from distill_runner.models.architecture import families
from distill_runner.planning.stage_context import Context
from distill_runner.tasks.base import Task


@dataclass(frozen=True, kw_only=True)
class MetaDistil(SoftTargets):
    """Pilot step, quiz, teacher step, real step (algorithm 2).

        θ'  = θ_S − η ∇_{θ_S} L(x; θ_S, θ_T)       pilot step, by plain SGD
        θ_T ← θ_T − μ ∇_{θ_T} hard(quiz; θ')       teacher step, by AdamW
        θ_S ← θ_S − λ ∇_{θ_S} L(x; θ_S, θ_T)       real step, by AdamW, under the new θ_T

    L is the loss of `SoftTargets`, whose settings apply too; λ is the stage's learning rate.

    Args:
        pilot_learning_rate: η > 0.
        teacher_learning_rate: μ, 0 or more; 0 freezes the teachers.
        quiz_batch: quiz rows to draw at random in each step, 1 or more; null takes all.
        update_teachers: positions, from 0, of the teachers that learn; null: all.
        real_step_mask: same: the real step keeps the pilot's dropout mask and reuses its
            forward pass; fresh: it draws a new mask, as the authors' code does.
        derivative: jvp (exact) or finite_difference (two plain forward passes).
        finite_difference_length: how far the weights move along the quiz gradient, as a norm
            over all weights, above 0; only for finite_difference.
        divide_by_pilot_rate: the teachers' gradient carries a factor η, which can bring it
            down to AdamW's eps; true compensates with eps·η in place of eps.

    Raises:
        Refused: a setting is out of range.
    """

    id: ClassVar[str] = "metadistil"
    roles: ClassVar[tuple[str, ...]] = ("teacher", "student")
    # Each micro-batch would take its own pilot step, which is another algorithm.
    accumulates: ClassVar[bool] = False
    passes: ClassVar[Passes] = Passes(student=10, teacher=4)

    pilot_learning_rate: float = field(metadata=ABOVE_0)
    teacher_learning_rate: float = field(metadata=AT_LEAST_0)
    quiz_batch: Optional[int] = field(metadata=AT_LEAST_1)
    update_teachers: Optional[list[int]] = field(metadata=AT_LEAST_0)
    real_step_mask: str = field(metadata=one_of(("same", "fresh")))
    derivative: str = field(metadata=one_of(DERIVATIVES))
    finite_difference_length: float = field(metadata=ABOVE_0)
    divide_by_pilot_rate: bool

    def formula(self, task: Task) -> str:
        pilot = f"s − {self.pilot_learning_rate:g}·∇L"
        quiz = f"teachers: {task.hard_name}(quiz; {pilot}), by {self.derivative}"
        return f"{super().formula(task)}\n{quiz}"

    @property
    def needs(self) -> Needs:
        chosen = None if self.update_teachers is None else tuple(self.update_teachers)
        return Needs(teachers="trained", trained_teachers=chosen, quiz=True)

    def check(self, context: Context) -> None:
        super().check(context)
        self._check_positions(context.teachers)
        if self.derivative == "jvp" and context.models is not None:
            families.check_forward_derivative(context.models.student(), key=context.models.key)

    def _check_positions(self, count: int) -> None:
        chosen = self.update_teachers
        require(
            chosen is None
            or (
                len(chosen) > 0
                and len(set(chosen)) == len(chosen)
                and all(0 <= at < count for at in chosen)
            ),
            key="update_teachers",
            value=chosen,
            rule=f"at least one position from 0..{count - 1}, none twice; null is all of them",
        )

    def unread_settings(self) -> tuple[str, ...]:
        exact = self.derivative == "jvp"
        return (*super().unread_settings(), *(("finite_difference_length",) if exact else ()))

    def settings_of(self, role: str) -> OptimizerSettings:
        if role == "student":
            return OptimizerSettings()
        factor = self.pilot_learning_rate if self.divide_by_pilot_rate else 1.0
        return OptimizerSettings(learning_rate=self.teacher_learning_rate, eps_factor=factor)

    def updates(self, batch: Batch) -> Iterator[Update]:
        pilot = self._pilot(batch)
        yield self._teacher_update(batch, pilot)
        yield self._student_update(batch, pilot)

    def _pilot(self, batch: Batch) -> Pilot:
        """Step 1: take the pilot step, under the current teachers."""
        return Pilot.take(
            batch.student,
            student_logits=pilot_forward(batch),
            teacher_logits=batch.teacher_logits(),
            loss=lambda student_logits, teacher_logits: self.distillation_loss(
                batch.task,
                student_logits,
                batch.join(teacher_logits, self.temperature),
                batch.labels,
            )[0],
            learning_rate=self.pilot_learning_rate,
            keep_graph=self.real_step_mask == "same",
        )

    def _teacher_update(self, batch: Batch, pilot: Pilot) -> Update:
        """Step 2: quiz the assumed student, and trace its loss back to the teachers."""
        quiz = batch.quiz(self.quiz_batch)
        quiz_logits = pilot.logits_of(batch.student, quiz)
        quiz_loss = batch.task.hard_loss(quiz_logits, quiz.labels)
        direction = pilot.gradient(quiz_loss)
        if self.derivative == "jvp":
            change = jvp(lambda: pilot_forward(batch), batch.student, direction)
        else:
            change = finite_difference(
                lambda: pilot_forward(batch),
                batch.student,
                direction,
                length=self.finite_difference_length,
            )
        surrogate = teacher_surrogate(pilot, change)
        terms = {"quiz": quiz_loss.detach()}
        right = batch.task.right(quiz_logits.detach(), quiz.labels)
        if right is not None:
            terms["quiz_accuracy"] = right.to(torch.float32).mean()
        return Update("teacher", surrogate, terms)

    def _student_update(self, batch: Batch, pilot: Pilot) -> Update:
        """Step 3: take the real step, on the same batch, under the updated teachers."""
        with torch.no_grad():
            teacher_logits = batch.joined_teacher_logits(self.temperature)
        logits = pilot.student_logits
        if self.real_step_mask == "fresh":
            logits = batch.student_logits("real")
        loss, terms = self.distillation_loss(batch.task, logits, teacher_logits, batch.labels)
        return Update("student", loss, terms)
