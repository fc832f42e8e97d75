"""Fine-tuning: the labels alone teach.

    distill-run method=finetune student=distilbert

The reference of every table here: what distillation must beat.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from distill_runner.methods.base import Algorithm, Needs, Passes, Update
from distill_runner.methods.batch import Batch
from distill_runner.objectives.logits import hard_label_loss


@dataclass(frozen=True, kw_only=True)
class FineTune(Algorithm):
    """Cross-entropy with the hard labels; squared error, where the learner answers with a score."""

    id: ClassVar[str] = "finetune"
    needs: ClassVar[Needs] = Needs(teachers="none")
    passes: ClassVar[Passes] = Passes(student=3)

    def formula(self) -> str:
        return "L = CE(y, s)"

    def updates(self, batch: Batch) -> Iterator[Update]:
        loss = hard_label_loss(batch.student_logits(), batch.labels)
        yield Update("student", loss, {"hard": loss.detach()})
