"""Deep mutual learning (Zhang, Xiang, Hospedales & Lu, CVPR 2018): learners that teach each other.

    distill-run method=mutual student=distilbert 'method.peers=[{model:roberta-base}]'

No teacher is trained beforehand. The student and its peers start together, read the same rows
in their own tokens, and each takes the others' predictions as soft targets. Only the student is
deployed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from distill_runner.config.schema.rules import ABOVE_0, AT_LEAST_0, one_of
from distill_runner.methods.base import Algorithm, Needs, Passes, Update
from distill_runner.methods.batch import Batch
from distill_runner.objectives.logits import kl
from distill_runner.tasks.base import Task

FORMS = ("simultaneous", "alternating")


@dataclass(frozen=True, kw_only=True)
class Mutual(Algorithm):
    """Each learner k minimises its cross-entropy and its mimicry of the K - 1 others.

        L_k = CE(y, z_k) + λ · 1/(K−1) Σ_{l≠k} T²·KL(z_l ‖ z_k),   z_l constant

    Args:
        temperature: T > 0; 1 in the paper.
        mimicry: λ, 0 or more; 1 in the paper; at 0 each learner trains by itself.
        form: simultaneous: all learn from the predictions before the step; alternating: the
            peers learn from the student's predictions after its step. The peers step together
            in both forms.

    Raises:
        Refused: a setting is out of range.
    """

    id: ClassVar[str] = "mutual"
    needs: ClassVar[Needs] = Needs(teachers="trained", teacher_dropout=True, classes=True)
    roles: ClassVar[tuple[str, ...]] = ("student", "teacher")
    passes: ClassVar[Passes] = Passes(student=3, teacher=3)

    temperature: float = field(metadata=ABOVE_0)
    mimicry: float = field(metadata=AT_LEAST_0)
    form: str = field(metadata=one_of(FORMS))

    def formula(self, task: Task) -> str:
        return (
            f"L_k = {task.hard_name}(y, z_k) + {self.mimicry:g}·mean over l≠k of "
            f"{self.temperature:g}²·KL(z_l‖z_k), T={self.temperature:g}, {self.form}"
        )

    def unread_settings(self) -> tuple[str, ...]:
        return () if self.mimicry else ("temperature",)

    def updates(self, batch: Batch) -> Iterator[Update]:
        student, peers = batch.student_logits(), batch.teacher_logits()
        yield Update("student", *self._loss(batch, student, peers))
        if self.form == "alternating":
            with torch.no_grad():
                student = batch.student_logits()
        losses: list[Tensor] = []
        every: dict[str, Tensor] = {}
        for at, own in enumerate(peers):
            others = torch.cat([student[None], peers[:at], peers[at + 1 :]])
            loss, terms = self._loss(batch, own, others)
            losses.append(loss)
            every |= {f"{name}_{at + 1}": term for name, term in terms.items()}
        yield Update("teacher", torch.stack(losses).sum(), every)

    def _loss(self, batch: Batch, own: Tensor, others: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return L_k, and its two terms unweighted and detached.

        Args:
            own: z_k, [batch, classes].
            others: z_l, [others, batch, classes].
        """
        hard = batch.hard_loss(own)
        divergences = [kl(own, other, self.temperature) for other in others.detach()]
        mimicry = torch.stack(divergences).mean()
        loss = hard + self.mimicry * mimicry
        return loss, {"hard": hard.detach(), "mimicry": mimicry.detach()}
