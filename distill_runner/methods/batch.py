"""What an algorithm sees of one micro-batch: the learners, the labels, the quiz.

Only this: no optimiser, no counter, no file. Every forward pass with dropout names its
mask, and the mask is drawn at that address, so two passes of one name share it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from distill_runner.data.encoding import Inputs
from distill_runner.data.masking import TARGETS
from distill_runner.models.learner import Learner
from distill_runner.models.teachers import TeacherSource
from distill_runner.runtime.seeding import seed_at
from distill_runner.tasks.base import Task


@dataclass(frozen=True)
class Quiz:
    """Held-out labelled rows, as the student reads them."""

    inputs: tuple[Inputs, ...]  # pieces of like length, so that little of them is padding
    labels: Tensor  # [quiz rows] or [quiz rows, outputs], in the pieces' order


@dataclass(frozen=True)
class Address:
    """Where in the run a draw is made."""

    seed: int
    epoch: int
    step: int  # within the epoch
    micro: int = 0


@dataclass
class Batch:
    """One micro-batch as its algorithm sees it."""

    student: Learner
    student_inputs: Inputs
    task: Task
    labels: Tensor  # [batch], or [batch, outputs] where a row has several
    teachers: TeacherSource
    ids: list[str]  # of the rows, in the batch's order
    teacher_inputs: Callable[[], list[Inputs]]  # one for each live teacher
    draw_quiz: Callable[[int | None], Quiz]
    address: Address

    def hard_loss(self, logits: Tensor) -> Tensor:
        """The task's loss of these logits, [batch, outputs], with the rows' labels."""
        return self.task.hard_loss(logits, self.labels)

    def student_logits(self, mask: str = "student") -> Tensor:
        """The student's logits with the dropout mask of that name. [batch, classes]."""
        self._draw(mask)
        return self.student.logits(self.student_inputs)

    def student_head_logits(self, mask: str = "student") -> Tensor:
        """As `student_logits`, of every head. [heads, batch, classes]."""
        self._draw(mask)
        return self.student.head_logits(self.student_inputs)

    def student_states(self, mask: str = "student") -> Tensor:
        """The student's last states of every token that is no padding. [tokens, width]."""
        self._draw(mask)
        return self.student.token_states(self.student_inputs)

    def teacher_states(self) -> Tensor:
        """As `student_states`, of a teacher of language: it reads the same tokens."""
        return self.teachers.token_states(self.student_inputs)

    def student_words(self, states: Tensor) -> Tensor:
        """The student's logits over the vocabulary. [tokens, vocabulary]."""
        return self.student.token_logits(states)

    def teacher_words(self, states: Tensor) -> Tensor:
        """As `student_words`, of the teacher's own states."""
        return self.teachers.token_logits(states)

    def hidden_words(self) -> Tensor:
        """The token behind each of the student's, below 0 where none is hidden. [tokens]."""
        real = self.student_inputs["attention_mask"].bool()
        return self.student_inputs[TARGETS][real]

    def teacher_logits(self) -> Tensor:
        """[teachers, batch, classes]; with a graph where the algorithm trains teachers."""
        self._draw("teachers")  # for those that read with dropout on
        logits = self.teachers.logits(self.ids, self.teacher_inputs)
        self.teachers.count(self.task, logits.detach(), self.labels)
        return logits

    def join(self, logits: Tensor, temperature: float) -> Tensor:
        """The teachers' logits joined into one set. [batch, classes]."""
        return self.teachers.join(logits, temperature)

    def joined_teacher_logits(self, temperature: float) -> Tensor:
        """The joined teachers' logits, as they are now. [batch, classes]."""
        return self.join(self.teacher_logits(), temperature)

    def quiz(self, size: int | None) -> Quiz:
        """Quiz rows of this step: `size` at random, or all for None."""
        return self.draw_quiz(size)

    def _draw(self, mask: str) -> None:
        """From here on dropout draws the mask of that name."""
        at = self.address
        torch.manual_seed(seed_at(at.seed, "dropout", at.epoch, at.step, at.micro, mask))
