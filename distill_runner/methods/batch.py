"""One micro-batch as its algorithm sees it: the learners, the labels, the quiz.

A batch gives no access to optimisers, counters or files. Every forward pass with dropout names
its mask. The mask depends only on that name and the batch's address, so two passes with the
same name share it.
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

Rows = Tensor | slice  # of a batch: a mask, or all
Loss = tuple[Tensor, dict[str, Tensor]]  # a scalar, and its terms, detached
LossOfRows = Callable[[Rows], Loss]


@dataclass(frozen=True)
class Quiz:
    """Held-out labelled rows, as the student reads them."""

    inputs: tuple[Inputs, ...]  # pieces of rows of similar length, to keep padding short
    labels: Tensor  # [quiz rows] or [quiz rows, outputs], in the pieces' order


@dataclass(frozen=True)
class Address:
    """The place in a run at which random numbers are drawn."""

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
    ids: list[str]  # the rows' ids, in the batch's order
    teacher_inputs: Callable[[], list[Inputs]]  # one per live teacher
    draw_quiz: Callable[[int | None], Quiz]
    address: Address
    labelled: Tensor | None = None  # [batch], on the CPU: whether a row has a label; None: all

    def hard_loss(self, logits: Tensor) -> Tensor:
        """Return the task's loss of these logits, [batch, outputs], with the rows' labels."""
        return self.task.hard_loss(logits, self.labels)

    def mean_over_rows(self, with_labels: LossOfRows, without_labels: LossOfRows) -> Loss:
        """Return the mean loss of all rows, where rows without a label have another loss.

            L = 1/B · ( Σ_{labelled} with_labels + Σ_{others} without_labels )

        Args:
            with_labels: computes the loss of rows that have a label, averaged over them.
            without_labels: the same for the other rows; its terms are among those of
                `with_labels`.

        Returns:
            The loss, and its terms; a term is averaged over the rows that have it.
        """
        labelled = self.labelled
        if labelled is None or bool(labelled.all()):
            return with_labels(slice(None))
        if not labelled.any():
            return without_labels(slice(None))
        share = float(labelled.float().mean())
        (first, terms), (second, others) = with_labels(labelled), without_labels(~labelled)
        shared = {name: share * terms[name] + (1 - share) * others[name] for name in others}
        return share * first + (1 - share) * second, {**terms, **shared}

    def student_logits(self, mask: str = "student") -> Tensor:
        """Return the student's logits under the dropout mask of that name. [batch, classes]."""
        self._draw(mask)
        return self.student.logits(self.student_inputs)

    def student_head_logits(self, mask: str = "student") -> Tensor:
        """Return the logits of each of the student's heads. [heads, batch, classes]."""
        self._draw(mask)
        return self.student.head_logits(self.student_inputs)

    def student_states(self, mask: str = "student") -> Tensor:
        """Return the student's last hidden states of all tokens but padding. [tokens, width]."""
        self._draw(mask)
        return self.student.token_states(self.student_inputs)

    def teacher_states(self) -> Tensor:
        """Return the language teacher's last hidden states of the same tokens. [tokens, width]."""
        return self.teachers.token_states(self.student_inputs)

    def student_words(self, states: Tensor) -> Tensor:
        """Return the student's logits over the vocabulary. [tokens, vocabulary]."""
        return self.student.token_logits(states)

    def teacher_words(self, states: Tensor) -> Tensor:
        """Return the language teacher's logits, from its own states. [tokens, vocabulary]."""
        return self.teachers.token_logits(states)

    def hidden_words(self) -> Tensor:
        """Return the id of the word hidden at each token; below 0 where none is. [tokens]."""
        real = self.student_inputs["attention_mask"].bool()
        return self.student_inputs[TARGETS][real]

    def teacher_logits(self) -> Tensor:
        """Return every teacher's logits, with a graph if the algorithm trains teachers.

        Returns:
            [teachers, batch, classes].
        """
        self._draw("teachers")  # for those that run with dropout on
        logits = self.teachers.logits(self.ids, self.teacher_inputs)
        self.teachers.count(self.task, logits.detach(), self.labels)
        return logits

    def join(self, logits: Tensor, temperature: float) -> Tensor:
        """Join the teachers' logits, [teachers, batch, classes], into one set, [batch, classes]."""
        return self.teachers.join(logits, temperature)

    def joined_teacher_logits(self, temperature: float) -> Tensor:
        """Return the joined logits of the teachers with their current weights. [batch, classes]."""
        return self.join(self.teacher_logits(), temperature)

    def quiz(self, size: int | None) -> Quiz:
        """Draw the quiz of this step: `size` random rows, or all for None."""
        return self.draw_quiz(size)

    def _draw(self, mask: str) -> None:
        """Seed dropout for the mask of that name."""
        at = self.address
        torch.manual_seed(seed_at(at.seed, "dropout", at.epoch, at.step, at.micro, mask))
