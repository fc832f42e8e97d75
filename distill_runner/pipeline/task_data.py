"""The data as each learner reads it: its own tokens, clean or noisy."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from distill_runner.config.schema import Dataset, Noise, NoiseSeenBy
from distill_runner.console.names import short_name
from distill_runner.data.answered_rows import answers_of
from distill_runner.data.answers import Answers
from distill_runner.data.encoding import Encoder, Encoding, View, encode
from distill_runner.data.masking import MaskedView
from distill_runner.data.row_hash import hash_rows
from distill_runner.data.training_rows import TrainingRows
from distill_runner.data.views import ChosenView, NoisyView
from distill_runner.methods.base import OfferedRows
from distill_runner.models.learner import Learner
from distill_runner.models.teachers import LiveTeachers, TeacherSource
from distill_runner.models.untrusted import unknown_share
from distill_runner.planning.stages import UNLABELLED, Stage
from distill_runner.results.scores import Score
from distill_runner.storage.integrity import Say
from distill_runner.storage.store import key_of
from distill_runner.tasks.base import scored_splits
from distill_runner.tasks.kinds import task_of

if TYPE_CHECKING:
    import datasets

    from distill_runner.data.load import Prepared


RANGE_ROWS = 5_000  # of texts without labels, whose logits are stored together


class TaskData:
    """Gives every learner its view of a split.

    Args:
        data: the prepared splits.
        settings: of the same data set.
        store: folder that keeps encodings.
        say: reports damage in the store.
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
        """Return the fingerprints of the splits that decide the stage's weights and scores."""
        return {
            split: found
            for split, found in self.data.fingerprints.items()
            # The other splits of the task are scored, or select an epoch.
            if split in stage.rows or (stage.reads_task and split != UNLABELLED)
        }

    def scored_splits(self, stage: Stage) -> list[str]:
        """Return the splits on which the finished stage is scored; none if no head was trained."""
        if stage.backbone_of is not None:
            return []
        return [split for split in scored_splits(self._settings) if self.has(split)]

    def score(self, logits: np.ndarray, split: str) -> Score:
        """Score logits on a split, in the order of its rows, by the data set's metrics."""
        return self.task.score(logits, self.data.splits[split])

    @property
    def pairs(self) -> bool:
        """Whether a row has two texts."""
        return any("text_pair" in table.column_names for table in self.data.splits.values())

    def answers(self, stage: Stage) -> Answers:
        """Return the answers of a teacher that is a file."""
        return answers_of(stage, self.data, self.task)

    def has(self, split: str) -> bool:
        """Return whether the split has rows."""
        return split in self.data.splits

    def labels(self, split: str) -> np.ndarray:
        """Return the labels of the split's rows (`Task.labels`)."""
        return self.task.labels(self.data.splits[split])

    def ids(self, split: str) -> list[str]:
        """Return the ids of the split's rows."""
        ids: list[str] = self.data.splits[split]["id"][:]
        return ids

    def ranges(self, split: str) -> list[tuple[range, str]]:
        """Divide a split into ranges of rows; each has a hash of its place and its texts."""
        table = self.data.splits[split]
        bounds = [*range(0, len(table), RANGE_ROWS), len(table)]
        ranges = [range(a, b) for a, b in pairwise(bounds)]
        return [(rows, key_of([rows.start, hash_rows(table.select(rows))])) for rows in ranges]

    def split(self, split: str, learner: Learner) -> Encoding:
        """Return a whole split in the learner's tokens."""
        return self._encode([split], learner.encoder)[1]

    def add_noise(self, split: str, learner: Learner, noise: Noise) -> NoisyView:
        """Return a whole split in the learner's tokens, with noise in the words of each row."""
        table, clean = self._encode([split], learner.encoder)
        return NoisyView(clean, table, noise, self.noise_seed)

    def training_rows(
        self, stage: Stage, student: Learner, teachers: TeacherSource
    ) -> TrainingRows:
        """Return the rows that the stage trains on, as each of its learners reads them.

        Raises:
            NothingToLearn: the algorithm can choose no row.
        """
        live = teachers.learners if isinstance(teachers, LiveTeachers) else ()
        both = stage.noise is not None and stage.noise.seen_by is NoiseSeenBy.both
        table, _ = self._encode(stage.rows, student.encoder)
        ids, labels = table["id"][:], self.task.labels(table)
        labelled, known = self._labelled(stage), np.flatnonzero(teachers.knows(ids))
        offered = [ids[at] for at in known]
        choice = stage.algorithm.rows(
            OfferedRows(
                labels=labels[known],
                classes=self.data.label_names,
                teacher=" and ".join(short_name(name) for name in stage.teachers),
                logits=lambda: _joined_logits(teachers, offered),
            )
        )
        chosen = choice.positions
        if len(known) < len(ids):
            # A file of answers may lack rows; nothing is learnt from these.
            chosen = known if chosen is None else known[chosen]

        def view_of(learner: Learner, *, noisy: bool) -> View:
            whole = self._view(stage, learner, noisy=noisy)
            return whole if chosen is None else ChosenView(whole, chosen)

        view = view_of(student, noisy=True)
        if chosen is not None:
            ids, labels = [ids[at] for at in chosen], labels[chosen]
            labelled = None if labelled is None else labelled[chosen]
        if choice.hidden_words:
            view = MaskedView(view, ids, student.encoder, choice.hidden_words, stage.seed)
        quiz = "quiz" if stage.algorithm.needs.quiz else None
        return TrainingRows(
            ids=ids,
            labels=labels,
            labelled=labelled,
            counts=dict(choice.counts),
            student=view,
            teachers=[view_of(teacher, noisy=both) for teacher in live],
            quiz=self.split(quiz, student) if quiz else None,
            quiz_labels=self.labels(quiz) if quiz else np.zeros(0, dtype=np.int64),
        )

    def unknown_share(self, stage: Stage, encoder: Encoder) -> float:
        """Return the share, 0..1, of the stage's words that the encoder does not know."""
        # A classifier that is used as it is may be in a run that learns no labelled row.
        learnt = [split for split in stage.rows if self.has(split)] or [UNLABELLED]
        _, encoded = self._encode(learnt, encoder)
        column = encoded.tokens.data.column("input_ids")
        return unknown_share(column.chunks, encoder.tokenizer)

    def vocabulary(self, stage: Stage, learner: Learner) -> np.ndarray | None:
        """Return every token id that the learner reads while the stage trains. [ids].

        None under noise, which makes words that no row has, and for a language head, whose
        softmax is over all words.
        """
        if stage.noise is not None or learner.reads_all_words:
            return None
        splits = [s for s in (*stage.rows, "quiz", "validation") if self.has(s)]
        found = [self.split(split, learner).vocabulary() for split in splits]
        return np.unique(np.concatenate(found))

    def _labelled(self, stage: Stage) -> np.ndarray | None:
        """Return which of the stage's rows have a label, [rows]; None if all have."""
        if UNLABELLED not in stage.rows:
            return None
        parts = [np.full(self.data.counts[split], split != UNLABELLED) for split in stage.rows]
        return np.concatenate(parts)

    def _view(self, stage: Stage, learner: Learner, *, noisy: bool) -> Encoding | NoisyView:
        table, clean = self._encode(stage.rows, learner.encoder)
        if not noisy or stage.noise is None:
            return clean
        return NoisyView(clean, table, stage.noise, stage.seed)

    def _encode(self, splits: Sequence[str], encoder: Encoder) -> tuple[datasets.Dataset, Encoding]:
        from datasets import concatenate_datasets

        tables = [self.data.splits[name] for name in splits]
        shared = [name for name in tables[0].column_names if name in tables[-1].column_names]
        table = concatenate_datasets([one.select_columns(shared) for one in tables])
        fingerprint = "+".join(self.data.fingerprints[name] for name in splits)
        return table, encode(
            table, encoder, fingerprint=fingerprint, store=self._store, say=self._say
        )


def _joined_logits(teachers: TeacherSource, ids: Sequence[str]) -> np.ndarray:
    if isinstance(teachers, LiveTeachers):
        raise TypeError(
            "rows() can read logits of frozen teachers only, and under needs.pool: others are not "
            "computed before the first step"
        )
    return teachers.join(teachers.logits(ids, list), 1.0).cpu().numpy()
