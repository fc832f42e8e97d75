"""Two-stage multi-teacher distillation (Yang et al., WSDM 2020: TMKD) and its ablations.

    distill-run method=tmkd teacher=bert_large_x3 student=bert_3layer dataset=rte \\
        dataset@pretrain.dataset=wikiqa pretrain.dataset.unlabelled.path=pairs.tsv

In stage 1 the student learns only from the teachers of a question-answering task, on pairs
without labels. Stage 2 keeps its body, and learns from the task's labels and the task's teachers.
Each teacher has its own soft head (`models.heads`), so that no two teachers pull the same output
in different directions. In the paper most of the gain comes from stage 1: on RTE, one teacher
with it reaches 67.35 (table 5), many without it 59.92 (table 6), and both 67.50 (table 4).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from distill_runner.config.schema import Combine
from distill_runner.config.schema.rules import Range, rule
from distill_runner.methods.base import (
    Algorithm,
    Attachment,
    Needs,
    Passes,
    StartingStudent,
    Update,
    require,
)
from distill_runner.methods.batch import Batch, Loss, Rows
from distill_runner.models import heads
from distill_runner.models.architecture import families
from distill_runner.objectives.logits import mse_logits
from distill_runner.planning.stage_context import Context
from distill_runner.tasks.base import Task

_SOFT_SHARE = Range(
    "above 0, up to 1; method=finetune learns from labels only", high=1, low_open=True
)


@dataclass(frozen=True, kw_only=True)
class SoftHeads(Algorithm):
    """A golden head for the labels, and a soft head for each teacher's raw logits.

        L = (1 − α)·CE(y, z_g) + α·(1/N) Σ_i MSE(z_i, t_i)      (eq. 5; MSE over classes, eq. 3)

    At α = 1 (stage 1, eq. 4) no label is read, and the golden head neither learns nor predicts.
    A row without a label has only the soft heads' term.

    Args:
        alpha: weight of the soft heads, above 0, up to 1; the paper's best is 0.9. At 0 the soft
            heads would predict without having learnt.
        averaged: use a single soft head, for the mean of the teachers' logits (1avg-o-1, table 7).

    Raises:
        Refused: a setting is out of range.
    """

    id: ClassVar[str] = "tmkd"
    passes: ClassVar[Passes] = Passes(student=3)
    learns_unlabelled: ClassVar[bool] = True

    alpha: float = field(metadata=rule(_SOFT_SHARE))
    averaged: bool

    def formula(self, task: Task) -> str:
        soft = self.formula_without_labels()
        if self.alpha == 1:
            return f"L = {soft}"
        return f"L = {1 - self.alpha:g}·{task.hard_name}(y, z_g) + {self.alpha:g}·{soft}"

    def formula_without_labels(self) -> str:
        return "MSE(z_1, mean t)" if self.averaged else "mean_i MSE(z_i, t_i)"

    @property
    def needs(self) -> Needs:
        return Needs(teachers="frozen", joined=self.averaged, labels=self.alpha < 1)

    def check(self, context: Context) -> None:
        require(
            not (self.averaged and context.combine is Combine.prob_mean),
            key="averaged",
            value=self.averaged,
            rule="teacher.combine=logit_mean: a mean of probabilities has no raw logits",
        )
        context.check_raw_logits(way_out="method=kd")
        if context.models is not None:
            families.check_first_state(context.models.student(), key=context.models.key)

    def prepare(self, student: StartingStudent) -> Sequence[Attachment]:
        heads.add(
            student.learner.module,
            heads=1 if self.averaged else student.teachers,
            classes=student.classes,
            seed=student.seed,
            golden=self.needs.labels,
        )
        return ()

    def updates(self, batch: Batch) -> Iterator[Update]:
        logits = batch.teacher_logits()
        targets = batch.join(logits, 1.0)[None] if self.averaged else logits
        heads = batch.student_head_logits()

        def with_labels(rows: Rows) -> Loss:
            return self.loss(batch.task, heads[:, rows], targets[:, rows], batch.labels[rows])

        def without_labels(rows: Rows) -> Loss:
            soft = self.soft_term(heads[:, rows], targets[:, rows])
            return soft, {"soft": soft.detach()}

        yield Update("student", *batch.mean_over_rows(with_labels, without_labels))

    def loss(self, task: Task, heads: Tensor, targets: Tensor, labels: Tensor) -> Loss:
        """Return the weighted loss, and its two terms unweighted and detached.

        Args:
            task: provides the hard loss.
            heads: [1 + soft heads, batch, classes], the golden head first.
            targets: [soft heads, batch, classes].
            labels: [batch], or [batch, outputs] where a row has several; not read at α = 1.
        """
        soft = self.soft_term(heads, targets)
        if not self.needs.labels:
            return soft, {"soft": soft.detach()}
        hard = task.hard_loss(heads[0], labels)
        terms = {"hard": hard.detach(), "soft": soft.detach()}
        return (1 - self.alpha) * hard + self.alpha * soft, terms

    def soft_term(self, heads: Tensor, targets: Tensor) -> Tensor:
        """Return the mean of the soft heads' losses; shapes as for `loss`."""
        # All heads have the same shape, so the mean over all is the mean of the heads' means.
        return mse_logits(heads[1:].flatten(0, 1), targets.flatten(0, 1), 1.0)
