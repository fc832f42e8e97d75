"""Reads labels that are numbers, for regression."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from distill_runner.config import schema
from distill_runner.data.readers.class_labels import find_marked, find_missing, no_labels
from distill_runner.data.readers.label_reader import FileLabels, Label, LabelReader, Value
from distill_runner.data.readers.places import Places
from distill_runner.errors import Refused

if TYPE_CHECKING:
    from datasets import Dataset

_LARGEST = 3.4028234e38  # the largest float32; scores are stored as float32
OUTPUT = "score"  # the name of the single output


class ScoreLabels(LabelReader):
    """Reads labels that are numbers."""

    def count_labels(self, cells: Sequence[str], known: Counter[str]) -> int:  # noqa: ARG002
        return sum(_is_number(cell) for cell in cells)

    def are_hidden(self, table: Dataset) -> bool:
        return no_labels(self.settings, table)

    def marked(self, values: Sequence[object], file: str) -> list[int]:  # noqa: ARG002
        return find_marked(self.settings, values, as_numbers=True)

    def missing(self, values: Sequence[object], file: str) -> list[int]:
        return find_missing(self.settings, values, file)

    def read(self, table: Dataset, places: Places, numbers: list[int]) -> FileLabels:
        """Return the table's scores.

        Raises:
            Refused: a label is not a finite number.
        """
        settings = self.settings
        names = getattr(table.features[settings.label], "names", None)
        if names is not None:
            raise _no_score(settings, f"'{places.file}' holds classes: {', '.join(names[:5])}.")
        scores: list[Label] = [
            _score(settings, value, places, row)
            for row, value in zip(numbers, table[settings.label], strict=True)
        ]
        return FileLabels(places, scores, numbers)

    def encode(
        self, found: Mapping[str, FileLabels]
    ) -> tuple[tuple[str, ...], dict[str, Sequence[Value]]]:
        """Return the name of the single output, and the scores of each split.

        Raises:
            Refused: all training rows have the same score.
        """
        scores = {split: _numbers(part.labels) for split, part in found.items()}
        check_spread(self.settings, set(scores["train"]), "training")
        return (OUTPUT,), dict(scores)


def _numbers(labels: Sequence[Label]) -> list[float]:
    return [float(label) for label in labels if not isinstance(label, tuple)]


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _score(settings: schema.Dataset, value: object, places: Places, row: int) -> float:
    found = math.nan
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        with suppress(ValueError, OverflowError):
            found = math.nan if "_" in str(value) else float(value)
    if not math.isfinite(found):
        what = f"A label is not a number: {str(value)[:60]!r}, {places.of(row)}."
        raise _no_score(settings, what)
    if abs(found) > _LARGEST:
        what = f"A label is too large for float32: {value}, {places.of(row)}."
        raise _no_score(settings, what)
    return found


def check_spread(settings: schema.Dataset, distinct: Collection[float], split: str) -> None:
    """Refuse rows that all have the same score, as a correlation needs different ones.

    Args:
        settings: the data set's settings.
        distinct: the different scores of the split.
        split: the split's name, for the message.

    Raises:
        Refused: there is only one score.
    """
    if len(distinct) < 2:
        raise Refused(
            f"All {split} rows have the same score: {next(iter(distinct))}.",
            key="dataset.label",
            value=settings.label,
            rule="different scores in each split",
            way_out="name the column that contains the scores, or use more rows",
        )


def _no_score(settings: schema.Dataset, what: str) -> Refused:
    return Refused(
        what,
        key="dataset.label",
        value=settings.label,
        rule="a column with a finite number in every row, under dataset.task=regression",
        way_out="name the column that contains the scores, or dataset.task=classification",
    )
