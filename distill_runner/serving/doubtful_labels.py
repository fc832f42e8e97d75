"""Finds the rows whose label a trained model finds least likely."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from distill_runner.config.schema import TaskKind
from distill_runner.data.readers.class_labels import WHOLE
from distill_runner.data.readers.label_sets import written_set
from distill_runner.errors import Refused
from distill_runner.serving.labelled_rows import (
    Columns,
    Label,
    LabelledRow,
    digest_texts,
    read_rows,
)
from distill_runner.serving.student import Predictor, Student
from distill_runner.serving.table_reader import Source
from distill_runner.serving.texts import Text

Show = Callable[[int, int | None], None]  # rows done; of how many


@dataclass(frozen=True, order=True)
class Doubtful:
    """A row whose label the model finds unlikely.

    Args:
        likelihood: the probability that the model gives the label; for a score, minus the
            distance between the two.
        row: its number, from 1.
        text: its text.
        label: its label.
        answer: what the model says.
        trained: whether the run may have trained on its text; None: unknown.
    """

    likelihood: float
    row: int
    text: str = field(compare=False)
    label: str = field(compare=False)
    answer: str = field(compare=False)
    trained: bool | None = field(compare=False)


@dataclass(frozen=True)
class Judged:
    """What the model said of a file.

    Args:
        by: the model, in words.
        rows: rows with a text and a label that the model knows.
        unknown: rows whose label the model does not know.
        trained: rows that the run may have trained on; None: unknown.
        doubtful: the rows whose label is least likely, the least likely first.
    """

    by: str
    rows: int
    unknown: int
    trained: int | None
    doubtful: Sequence[Doubtful]


def find_judge(student: Student) -> tuple[Predictor, str]:
    """Return the run's first teacher, or its student if the store no longer holds the teacher."""
    if not student.result.teachers:
        return student, "the run's student"
    teacher = student.result.teachers[0]
    name = teacher.name
    if teacher.answers is not None:
        return student, f"the run's student (the teacher {name} is a file of answers)"
    try:
        return student.teacher(name), f"the teacher {name}"
    except Refused:
        return student, f"the run's student (the store no longer holds {name})"


def judge_rows(
    source: Source,
    columns: Columns,
    predictor: Predictor,
    *,
    by: str,
    trained: frozenset[bytes] | None,
    top: int,
    show: Show,
) -> Judged:
    """Ask a model how likely each label is.

    Args:
        source: the labelled rows.
        columns: of the file.
        predictor: the model.
        by: what it is, in words.
        trained: digests of the texts that it may have been trained on; None: unknown.
        top: how many rows to return.
        show: receives the progress.

    Raises:
        Refused: the model knows none of the labels.
    """
    judge = _Judge(predictor, trained)
    worst: list[Doubtful] = []
    asked = unknown = done = seen = 0
    for chunk in read_rows(source, columns):
        known = [row for row in chunk if row.texts is not None and judge.knows(row.label)]
        unknown += sum(row.label is not None and not judge.knows(row.label) for row in chunk)
        asked += len(known)
        doubts = judge.doubts(known)
        seen += sum(one.trained is True for one in doubts)
        worst = heapq.nsmallest(top, [*worst, *doubts])
        done += len(chunk)
        show(done, None)
    if not asked:
        raise Refused(
            "The run knows none of the file's labels.",
            key="--label",
            value=columns.label,
            rule=f"labels such as {', '.join(predictor.classes[:5])}",
            way_out="name the column with the run's labels",
        )
    return Judged(by, asked, unknown, None if trained is None else seen, worst)


class _Judge:
    """Compares labels with a model's answers."""

    def __init__(self, predictor: Predictor, trained: frozenset[bytes] | None) -> None:
        self._predictor = predictor
        self._trained = trained
        self._kind = predictor.task.rules.kind
        self._index = _positions(predictor.classes)

    def knows(self, label: Label | None) -> bool:
        """Return whether the model has an output for a label."""
        if label is None or self._kind is TaskKind.regression:
            return label is not None
        names = label if isinstance(label, tuple) else (str(label),)
        return all(name in self._index for name in names)

    def doubts(self, rows: Sequence[LabelledRow]) -> list[Doubtful]:
        """Return the rows with the likelihood of their labels."""
        texts: list[Text] = [_text(row) for row in rows]
        if not texts:
            return []
        logits = self._predictor.read(texts).logits
        answers = self._predictor.task.predict(logits, self._predictor.classes)
        likelihoods = self._likelihoods(logits, [row.label for row in rows])
        return [
            Doubtful(
                likelihood,
                row.number,
                text=" / ".join(row.texts or ()),
                label=_written(row.label),
                answer=_written(answer),
                trained=self._has_trained_on(row),
            )
            for row, likelihood, answer in zip(rows, likelihoods, answers, strict=True)
        ]

    def _has_trained_on(self, row: LabelledRow) -> bool | None:
        return None if self._trained is None else digest_texts(row.texts or ()) in self._trained

    def _likelihoods(self, logits: np.ndarray, labels: Sequence[Label | None]) -> list[float]:
        """Return P(label) for each row; of a set, the product over all labels; see `Doubtful`."""
        if self._kind is TaskKind.regression:
            scores = np.array([float(str(label)) for label in labels])
            distances: list[float] = (-np.abs(logits[:, 0] - scores)).tolist()
            return distances
        found = self._predictor.probabilities(logits)
        chosen = np.zeros(found.shape, dtype=bool)
        for row, label in enumerate(labels):
            for name in label if isinstance(label, tuple) else (str(label),):
                chosen[row, self._index[name]] = True
        if self._kind is TaskKind.classification:
            likely: list[float] = found[chosen].tolist()
        else:
            likely = np.where(chosen, found, 1 - found).prod(axis=1).tolist()
        return likely


def _positions(classes: Sequence[str]) -> Mapping[str, int]:
    """Return the output of each class by name, and by number if no name is a number."""
    by_name = {name: at for at, name in enumerate(classes)}
    if any(WHOLE.fullmatch(name) for name in classes):
        return by_name
    return {str(at): at for at in range(len(classes))} | by_name


def _text(row: LabelledRow) -> Text:
    assert row.texts is not None
    return row.texts[0] if len(row.texts) == 1 else (row.texts[0], row.texts[1])


def _written(label: object) -> str:
    if isinstance(label, tuple | list):
        return written_set(label) or "(none)"
    return f"{label:.3g}" if isinstance(label, float) else str(label)
