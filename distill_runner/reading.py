"""The data as each learner reads it: its own tokens, clean or noisy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from distill_runner import loop
from distill_runner.data.encoding import ChosenView, Encoding, NoisyView, View, encode
from distill_runner.errors import Refused
from distill_runner.models.learner import Learner
from distill_runner.models.teachers import LiveTeachers, TeacherSource
from distill_runner.plan import POOL, Stage
from distill_runner.schema import Noise, NoiseSeenBy

if TYPE_CHECKING:
    from datasets import Dataset

    from distill_runner.data.prepared import Prepared


HIDDEN = -1  # the label of a row whose label is not to be seen


class Reading:
    """Gives every learner its view of a split.

    Args:
        data: the prepared splits.
        store: folder in which encodings are kept.
    """

    def __init__(self, data: Prepared, store: Path) -> None:
        self.data = data
        self._store = store

    def has(self, split: str) -> bool:
        return split in self.data.splits

    def labels(self, split: str) -> np.ndarray:
        """[rows], class indices."""
        return _labels(self.data.splits[split])

    def ids(self, split: str) -> list[str]:
        return list(self.data.splits[split]["id"])

    def split(self, split: str, learner: Learner) -> Encoding:
        """A whole split in the learner's tokens."""
        return self._encode([split], learner)[1]

    def disturbed(self, split: str, learner: Learner, noise: Noise, *, seed: int) -> NoisyView:
        """A whole split in the learner's tokens, its words disturbed; of `seed`, row by row."""
        table, clean = self._encode([split], learner)
        return NoisyView(clean, table, noise, seed)

    def training_rows(self, stage: Stage, student: Learner, teachers: TeacherSource) -> loop.Rows:
        """What the loop needs of the data for this stage."""
        live = teachers.learners if isinstance(teachers, LiveTeachers) else ()
        both = stage.noise is not None and stage.noise.seen_by is NoiseSeenBy.both
        table, _ = self._encode(stage.rows, student)
        ids, labels = list(table["id"]), _labels(table)
        whole = self._view(stage, student, noisy=True)
        view: View = whole
        counts: dict[str, int] = {}
        if stage.algorithm.needs.pool:
            labels = labels.copy()
            labels[-self.data.counts[POOL] :] = HIDDEN
            signals = teachers.join(teachers.signals(ids, list), 1.0).cpu().numpy()
            choice = stage.algorithm.choose(labels, signals)
            ids, labels = [ids[at] for at in choice.positions], labels[choice.positions]
            view, counts = ChosenView(whole, choice.positions), dict(choice.counts)
        quiz = "quiz" if stage.algorithm.needs.quiz else None
        return loop.Rows(
            ids=ids,
            labels=labels,
            counts=counts,
            student=view,
            teachers=[self._view(stage, teacher, noisy=both) for teacher in live],
            quiz=self.split(quiz, student) if quiz else None,
            quiz_labels=self.labels(quiz) if quiz else np.zeros(0, dtype=np.int64),
        )

    def check(self, stage: Stage) -> None:
        """Refuse a stage whose rows are not there, before anything is trained.

        Raises:
            Refused: the split leaves no row over for the pool.
        """
        if stage.algorithm.needs.pool and not self.data.counts.get(POOL):
            raise Refused(
                "The split leaves no row over for the pool.",
                key="dataset.split.train",
                value=self.data.counts["train"],
                rule=f"fewer rows than there are: {stage.name} trains on the others, unlabelled",
                way_out="dataset.split.train=0.3",
            )

    def vocabulary(self, stage: Stage, learner: Learner) -> np.ndarray | None:
        """Every token id that the learner reads while the stage trains. [ids].

        None where nobody can know: noise makes words that no row holds.
        """
        if stage.noise is not None:
            return None
        splits = [s for s in (*stage.rows, "quiz", "validation") if self.has(s)]
        found = [self.split(split, learner).vocabulary() for split in splits]
        return np.unique(np.concatenate(found))

    def _view(self, stage: Stage, learner: Learner, *, noisy: bool) -> Encoding | NoisyView:
        table, clean = self._encode(stage.rows, learner)
        if not noisy or stage.noise is None:
            return clean
        return NoisyView(clean, table, stage.noise, stage.seed)

    def _encode(self, splits: Sequence[str], learner: Learner) -> tuple[Dataset, Encoding]:
        from datasets import concatenate_datasets

        table = concatenate_datasets([self.data.splits[name] for name in splits])
        fingerprint = "+".join(self.data.fingerprints[name] for name in splits)
        return table, encode(table, learner.encoder, fingerprint=fingerprint, store=self._store)


def _labels(table: Dataset) -> np.ndarray:
    return np.asarray(table.with_format("numpy")["label"][:], dtype=np.int64)
