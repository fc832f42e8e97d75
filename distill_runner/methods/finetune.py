"""Fine-tuning: the student learns from the labels only.

    distill-run method=finetune student=distilbert

It is the baseline that distillation must beat.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from distill_runner.methods.base import Algorithm, Needs, Passes, Update
from distill_runner.methods.batch import Batch
from distill_runner.tasks.base import Task


@dataclass(frozen=True, kw_only=True)
class FineTune(Algorithm):
    """The task's loss with the labels.

        L = hard(y, s)

    The hard loss is cross-entropy for classes, squared error for scores, and binary
    cross-entropy for label sets.
    """

    id: ClassVar[str] = "finetune"
    needs: ClassVar[Needs] = Needs(teachers="none")
    passes: ClassVar[Passes] = Passes(student=3)

    def formula(self, task: Task) -> str:
        return f"L = {task.hard_name}(y, s)"

    def updates(self, batch: Batch) -> Iterator[Update]:
        loss = batch.hard_loss(batch.student_logits())
        yield Update("student", loss, {"hard": loss.detach()})
