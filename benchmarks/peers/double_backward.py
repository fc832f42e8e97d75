"""Implements MetaDistil the usual way: the quiz's gradient flows through the pilot step's graph."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.peers.peer import Peer
from benchmarks.peers.texts import Texts
from benchmarks.sampling import Batch
from benchmarks.setting import Setting
from distill_runner.data.batches import quiz_rows
from distill_runner.objectives.logits import cross_entropy
from distill_runner.tasks.classification import Classification


class DoubleBackward(Peer):
    """Algorithm 2 of Zhou et al. 2022 with a second-order graph and our method's settings.

    Attention uses the math kernel, because the fused one has no second derivative.

    Args:
        setting: the race's setting.
        padded: pad every row to one width, as the authors' code does.
    """

    def __init__(self, setting: Setting, *, padded: bool) -> None:
        super().__init__(setting, padded=padded)
        self._quiz = Texts(setting, "quiz", padded=padded)
        self._teacher = self.teacher()
        self._optimizer = self.optimizer(self.student)
        self._teacher_optimizer = self.optimizer(
            self._teacher, self.algorithm.teacher_learning_rate
        )

    def shape(self, batch: Batch) -> Hashable:
        # Quiz batches padded to their longest row differ in shape from step to step.
        return batch.padded if self.width else (batch.epoch, batch.at)

    def step(self, batches: list[Batch]) -> None:
        size, seed = self.algorithm.quiz_batch, self.setting.config.seed
        for batch in batches:
            rows = quiz_rows(
                len(self._quiz.labels), size, seed=seed, epoch=batch.epoch, step=batch.at
            )
            self._step(self.texts.batch(batch.rows.tolist()), self._quiz.batch(rows.tolist()))

    def _step(self, batch: dict[str, Tensor], quiz: dict[str, Tensor]) -> None:
        with sdpa_kernel(SDPBackend.MATH):
            gradients = self._gradients(batch, quiz)
        weights = list(self._teacher.parameters())
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient
        torch.nn.utils.clip_grad_norm_(weights, self.training.clip_norm)
        self._teacher_optimizer.step()

        self._optimizer.zero_grad()
        with self.autocast():
            with torch.no_grad():
                taught = self._teacher(**batch).logits
            logits = self.student(**batch).logits
            loss = self.algorithm.distillation_loss(
                Classification(), logits, taught, batch["labels"]
            )[0]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.student.parameters(), self.training.clip_norm)
        self._optimizer.step()

    def _gradients(self, batch: dict[str, Tensor], quiz: dict[str, Tensor]) -> tuple[Tensor, ...]:
        with self.autocast():
            return teacher_gradients(
                self.student, self._teacher, batch, quiz, algorithm=self.algorithm
            )


def teacher_gradients(
    student: Any,
    teacher: Any,
    batch: dict[str, Tensor],
    quiz: dict[str, Tensor],
    *,
    algorithm: Any,
) -> tuple[Tensor, ...]:
    """Return the quiz loss's gradient with respect to every teacher weight, via the pilot step.

    Args:
        student: a transformers classifier, in training mode.
        teacher: a transformers classifier, dropout off.
        batch: model inputs and labels of the pilot step.
        quiz: model inputs and labels of the quiz; dropout is off there.
        algorithm: our MetaDistil, for its loss and its pilot learning rate.
    """
    weights = dict(student.named_parameters())
    taught = teacher(**batch).logits
    logits = functional_call(student, weights, (), batch).logits
    loss = algorithm.distillation_loss(Classification(), logits, taught, batch["labels"])[0]
    slopes = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
    rate = algorithm.pilot_learning_rate
    moved = {
        name: weight - rate * slope
        for (name, weight), slope in zip(weights.items(), slopes, strict=True)
    }
    student.eval()
    answers = functional_call(student, moved, (), quiz).logits
    student.train()
    quiz_loss = cross_entropy(answers, quiz["labels"])
    return torch.autograd.grad(quiz_loss, list(teacher.parameters()))
