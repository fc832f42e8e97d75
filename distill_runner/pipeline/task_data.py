"""The data as each learner reads it: its own tokens, clean or noisy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from distill_runner.config.schema import Dataset, Noise, NoiseSeenBy
from distill_runner.data.encoding import Encoder, Encoding, View, encode
from distill_runner.data.masking import MaskedView
from distill_runner.data.training_rows import TrainingRows
from distill_runner.data.unlabelled import HIDDEN
from distill_runner.data.views import ChosenView, NoisyView
from distill_runner.errors import Refused
from distill_runner.methods.base import OfferedRows
from distill_runner.models.learner import Learner
from distill_runner.models.teachers import LiveTeachers, TeacherSource
from distill_runner.models.untrusted import unknown_share
from distill_runner.planning.stages import POOL, UNLABELLED, Stage
from distill_runner.results.scores import Score
from distill_runner.storage.integrity import Say
from distill_runner.tasks.base import scored_splits
from distill_runner.tasks.kinds import task_of

if TYPE_CHECKING:
    import datasets

    from distill_runner.data.load import Prepared


class TaskData:
    """Gives every learner its view of a split.

    Args:
        data: the prepared splits.
        settings: of that data set.
        store: folder in which encodings are kept.
        say: told what is damaged there.
    """

    def __init__(self, data: Prepared, settings: Dataset, store: Path, *, say: Say = print) -> None:
        self.data = data
        self.task = task_of(settings)
        self.max_tokens = settings.max_tokens
        self.noise_seed = settings.split_seed
        self._settings = settings
        self._store = store
        self._say = say

    def fingerprints(self, stage: Stage) -> dict[str, str]:
        """Of the splits that decide what the stage leads to."""
        return {
            split: found
            for split, found in self.data.fingerprints.items()
            # Any other split may choose an epoch, or is scored.
            if split in stage.rows or (stage.reads_task and split != UNLABELLED)
        }

    def scored(self, stage: Stage) -> list[str]:
        """The splits on which the finished stage is scored; none where no head of it learnt."""
        if stage.backbone_of is not None:
            return []
        return [split for split in scored_splits(self._settings) if self.has(split)]

    def score(self, logits: np.ndarray, split: str) -> Score:
        """What logits on a split, in its order, are worth by the data set's own metrics."""
        return self.task.score(logits, self.data.splits[split])

    def has(self, split: str) -> bool:
        """Whether the split has rows."""
        return split in self.data.splits

    def labels(self, split: str) -> np.ndarray:
        """Of every row (`Task.labels`)."""
        return self.task.labels(self.data.splits[split])

    def ids(self, split: str) -> list[str]:
        """The ids of the split's rows."""
        ids: list[str] = self.data.splits[split]["id"][:]
        return ids

    def split(self, split: str, learner: Learner) -> Encoding:
        """A whole split in the learner's tokens."""
        return self._encode([split], learner.encoder)[1]

    def disturbed(self, split: str, learner: Learner, noise: Noise) -> NoisyView:
        """A whole split in the learner's tokens, its words disturbed row by row."""
        table, clean = self._encode([split], learner.encoder)
        return NoisyView(clean, table, noise, self.noise_seed)

    def training_rows(
        self, stage: Stage, student: Learner, teachers: TeacherSource
    ) -> TrainingRows:
        """What the loop needs of the data for this stage."""
        live = teachers.learners if isinstance(teachers, LiveTeachers) else ()
        both = stage.noise is not None and stage.noise.seen_by is NoiseSeenBy.both
        table, _ = self._encode(stage.rows, student.encoder)
        ids, labels = table["id"][:], self.task.labels(table)
        if stage.algorithm.needs.pool:
            labels = labels.copy()
            labels[-self.data.counts[POOL] :] = HIDDEN
        choice = stage.algorithm.rows(
            OfferedRows(
                labels=labels,
                classes=self.data.label_names,
                teacher=" and ".join(name.removeprefix("teacher/") for name in stage.teachers),
                logits=lambda: teachers.join(teachers.logits(ids, list), 1.0).cpu().numpy(),
            )
        )
        whole = self._view(stage, student, noisy=True)
        view: View = whole
        chosen = choice.positions
        if chosen is not None:
            ids, labels = [ids[at] for at in chosen], labels[chosen]
            view = ChosenView(whole, chosen)
        if choice.hidden_words:
            view = MaskedView(view, ids, student.encoder, choice.hidden_words, stage.seed)
        quiz = "quiz" if stage.algorithm.needs.quiz else None
        return TrainingRows(
            ids=ids,
            labels=labels,
            counts=dict(choice.counts),
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

    def unknown_share(self, stage: Stage, encoder: Encoder) -> float:
        """Which share of the words that the stage trains on an encoder knows not."""
        _, encoded = self._encode(stage.rows, encoder)
        column = encoded.tokens.data.column("input_ids")
        return unknown_share(column.chunks, encoder.tokenizer)

    def vocabulary(self, stage: Stage, learner: Learner) -> np.ndarray | None:
        """Every token id that the learner reads while the stage trains. [ids].

        None where nobody can know, for noise makes words that no row holds, and where every
        word counts: a language head's softmax is over all of them.
        """
        if stage.noise is not None or learner.reads_all_words:
            return None
        splits = [s for s in (*stage.rows, "quiz", "validation") if self.has(s)]
        found = [self.split(split, learner).vocabulary() for split in splits]
        return np.unique(np.concatenate(found))

    def _view(self, stage: Stage, learner: Learner, *, noisy: bool) -> Encoding | NoisyView:
        table, clean = self._encode(stage.rows, learner.encoder)
        if not noisy or stage.noise is None:
            return clean
        return NoisyView(clean, table, stage.noise, stage.seed)

    def _encode(self, splits: Sequence[str], encoder: Encoder) -> tuple[datasets.Dataset, Encoding]:
        from datasets import concatenate_datasets

        table = concatenate_datasets([self.data.splits[name] for name in splits])
        fingerprint = "+".join(self.data.fingerprints[name] for name in splits)
        return table, encode(
            table, encoder, fingerprint=fingerprint, store=self._store, say=self._say
        )
