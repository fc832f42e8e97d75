"""Noisy Student (Xie, Luong, Hovy & Le, CVPR 2020), on text.

    distill-run experiment=noisy_student-3-generations

The teacher labels the pool from clean text, without dropout. Rows with a confident pseudo-label
are kept, equally many of each class. A student of the teacher's size or larger then learns the
labelled and the pseudo-labelled rows together, under noise: dropout, skipped layers, and the
words that `noise` disturbs. The student becomes the next generation's teacher.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from torch.nn import functional as F

from distill_runner.config.schema.rules import ABOVE_0, SHARE_BELOW_1
from distill_runner.errors import Refused
from distill_runner.methods.base import (
    Algorithm,
    Attachment,
    Needs,
    NothingToLearn,
    OfferedRows,
    Passes,
    Pool,
    RowChoice,
    StartingStudent,
    Update,
    require,
)
from distill_runner.methods.batch import Batch
from distill_runner.models.depth import check_family
from distill_runner.planning.stage_context import Context
from distill_runner.tasks.base import Task


@dataclass(frozen=True, kw_only=True)
class NoisyStudent(Algorithm):
    """Cross-entropy with the label of a labelled row, and the pseudo-label of a pool row.

        L = 1/B · ( Σ_{labelled} CE_ε(y, s) + Σ_{pool} CE(softmax(t / T), s) )

    With `hard` the second term is CE_ε(argmax t, s).

    Args:
        ratio: pseudo-labelled rows per labelled row, above 0.
        min_confidence: pool rows with a lower confidence of the teacher are left out; from 0 to
            below 1. The paper's 0.3 is for a thousand classes: with C classes no confidence is
            below 1/C.
        balance: take equally many pseudo-labelled rows of each class: the most confident ones
            of a class that has more, and repeated rows of a class that has fewer.
        temperature: T > 0, of the teacher's distribution.
        hard: use the teacher's most probable class in place of its distribution.
        label_smoothing: ε of hard labels, from 0 to below 1; 0.1 in the authors' code.
        stochastic_depth: p, from 0 to below 1: layer l of L is skipped with probability p·l/L
            while the student trains; 0 keeps every layer. In the paper the last layer survives
            with probability 0.8.

    Raises:
        Refused: a setting is out of range.
    """

    id: ClassVar[str] = "noisy_student"
    passes: ClassVar[Passes] = Passes(student=3)

    ratio: float = field(metadata=ABOVE_0)
    min_confidence: float = field(metadata=SHARE_BELOW_1)
    balance: bool
    temperature: float = field(metadata=ABOVE_0)
    hard: bool
    label_smoothing: float = field(metadata=SHARE_BELOW_1)
    stochastic_depth: float = field(metadata=SHARE_BELOW_1)

    def formula(self, task: Task) -> str:  # noqa: ARG002
        taught = "argmax t" if self.hard else f"softmax(t/{self.temperature:g})"
        skipped = f"; layer l of L is skipped with probability {self.stochastic_depth:g}·l/L"
        return (
            f"L = mean over rows of CE(y, s), smoothed by {self.label_smoothing:g}, "
            f"or in the pool CE({taught}, s){skipped if self.stochastic_depth else ''}"
        )

    def unread_settings(self) -> tuple[str, ...]:
        return ("temperature",) if self.hard else ()

    @property
    def needs(self) -> Needs:
        return Needs(teachers="frozen", pool=Pool(self.ratio, self.balance), classes=True)

    def check(self, context: Context) -> None:
        if not self.stochastic_depth:
            return
        if context.compiled:
            raise Refused(
                "A compiled forward pass runs every layer.",
                key="runtime.compile",
                value=True,
                rule=f"false for the stage {context.stage!r}, which skips layers at random",
                way_out="runtime.compile=false, or method.stochastic_depth=0",
            )
        if context.models is not None:
            check_family(context.models.student().config.model_type)

    def prepare(self, student: StartingStudent) -> Sequence[Attachment]:
        student.learner.skip_layers(self.stochastic_depth)
        return ()

    def rows(self, offered: OfferedRows) -> RowChoice:
        labels, classes = offered.labels, offered.classes
        known, pool = np.flatnonzero(labels >= 0), np.flatnonzero(labels < 0)
        logits = torch.from_numpy(offered.logits()[pool])
        confidence, predicted = (found.numpy() for found in logits.softmax(-1).max(-1))
        sure = confidence >= self.min_confidence
        wanted = int(self.ratio * len(known))
        self._check_ratio(wanted, len(classes))
        by_class = np.bincount(predicted[sure], minlength=len(classes))
        self._check_sure(by_class, confidence, predicted, classes=classes, teacher=offered.teacher)
        kept = pool[sure]
        if self.balance:
            chosen = balance_rows(
                kept, predicted[sure], confidence[sure], len(classes), total=wanted
            )
        else:
            chosen = kept[np.argsort(-confidence[sure], kind="stable")[:wanted]]
        counts = {"labelled": len(known), "pool": len(pool), "sure": len(kept)}
        counts |= {f"sure of {name}": int(n) for name, n in zip(classes, by_class, strict=True)}
        counts |= {"pseudo-labelled": len(chosen), "of them distinct": len(np.unique(chosen))}
        return RowChoice(np.concatenate([known, chosen]), counts)

    def _check_ratio(self, wanted: int, classes: int) -> None:
        """Refuse a ratio so small that it takes no row of the pool, or none of some class."""
        least = classes if self.balance else 1
        rule = f"enough for at least {least} pseudo-labelled rows; it gives {wanted}"
        require(wanted >= least, key="ratio", value=self.ratio, rule=rule)

    def _check_sure(
        self,
        by_class: np.ndarray,
        confidence: np.ndarray,
        predicted: np.ndarray,
        *,
        classes: Sequence[str],
        teacher: str,
    ) -> None:
        """Refuse a pool without a confident row or, with `balance`, without one of some class.

        Args:
            by_class: [classes], number of confident rows.
            confidence, predicted: [pool], the teacher's confidence in each row, and its class.
            classes, teacher: their names, for the message.

        Raises:
            NothingToLearn: a confident row is missing.
        """
        without = [at for at, count in enumerate(by_class) if not count]
        if by_class.any() and not (self.balance and without):
            return
        surest = [confidence[predicted == at].max(initial=0) for at in without]
        said = [
            f"{one:.2f} ({classes[at]})" if one else f"no row ({classes[at]})"
            for at, one in zip(without, surest, strict=True)
        ]
        missing = "" if not by_class.any() else f" as {', '.join(classes[at] for at in without)}"
        raise NothingToLearn(
            f"{teacher} is sure of no row of the pool{missing}.",
            key="method.min_confidence",
            value=self.min_confidence,
            rule=f"its surest have {', '.join(said)}",
            way_out="a smaller method.min_confidence, a better teacher"
            + (", or method.balance=false" if missing else ""),
        )

    def updates(self, batch: Batch) -> Iterator[Update]:
        logits, labels = batch.student_logits(), batch.labels
        teacher_logits = batch.joined_teacher_logits(self.temperature)
        known = labels >= 0
        smoothed = self.label_smoothing
        hard = F.cross_entropy(
            logits[known], labels[known], reduction="sum", label_smoothing=smoothed
        )
        if self.hard:
            soft = F.cross_entropy(
                logits[~known],
                teacher_logits[~known].argmax(-1),
                reduction="sum",
                label_smoothing=smoothed,
            )
        else:
            targets = (teacher_logits[~known] / self.temperature).softmax(-1)
            soft = F.cross_entropy(logits[~known], targets, reduction="sum")
        rows = len(labels)
        terms = {"labelled": hard.detach() / rows, "pseudo_labelled": soft.detach() / rows}
        yield Update("student", (hard + soft) / rows, terms)


def balance_rows(
    rows: np.ndarray, predicted: np.ndarray, confidence: np.ndarray, classes: int, *, total: int
) -> np.ndarray:
    """Choose equally many rows per class: the surest of a large class, a small one repeated.

    Args:
        rows: [rows], positions to choose from.
        predicted: [rows], the class of each.
        confidence: [rows], 0..1.
        classes: number of classes; each has at least one row.
        total: number of rows to choose; each class gets total // classes.

    Returns:
        Positions, class by class, the most confident of a class first.
    """
    each = total // classes
    chosen = []
    for at in range(classes):
        own = np.flatnonzero(predicted == at)
        surest_first = own[np.argsort(-confidence[own], kind="stable")]
        chosen.append(rows[np.resize(surest_first, each)])
    return np.concatenate(chosen)
