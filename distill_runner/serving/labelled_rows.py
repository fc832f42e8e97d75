"""Reads texts with their labels from a file of any size, without refusing what is missing."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from distill_runner.config import schema
from distill_runner.config.schema import TaskKind
from distill_runner.data.readers.class_labels import find_missing
from distill_runner.data.readers.label_sets import split_cell
from distill_runner.data.texts import folded_words
from distill_runner.serving.table_reader import Source, read_chunks
from distill_runner.serving.table_rows import Rows

Label = str | float | tuple[str, ...]  # a class, a score, or a set of labels, sorted


@dataclass(frozen=True)
class Columns:
    """How a file is read.

    Args:
        texts: one text column, or two.
        label: the label column; None: the rows have no labels.
        task: what the labels are.
    """

    texts: tuple[str, ...]
    label: str | None
    task: TaskKind = TaskKind.classification


@dataclass(frozen=True)
class LabelledRow:
    """A row of the file.

    Args:
        number: from 1, below the heading.
        texts: one, or the two of a pair; None: one of them is empty.
        label: None: the row has none, or a text where a score should be.
    """

    number: int
    texts: tuple[str, ...] | None
    label: Label | None


def read_rows(source: Source, columns: Columns) -> Iterator[list[LabelledRow]]:
    """Yield the rows of a file, chunk by chunk.

    Raises:
        Refused: the file is malformed.
    """
    number = 0
    for rows in read_chunks(source):
        texts = zip(*(rows.texts(name) for name in columns.texts), strict=True)
        chunk = []
        for cells, label in zip(texts, _labels(source, rows, columns), strict=True):
            number += 1
            found = tuple(cell for cell in cells if cell is not None and cell.strip())
            chunk.append(LabelledRow(number, found if len(found) == len(cells) else None, label))
        yield chunk


def digest_texts(texts: Sequence[str]) -> bytes:
    """Return 16 bytes that are equal for texts that a split counts as the same."""
    folded = "\t".join(map(folded_words, texts))
    return hashlib.blake2b(folded.encode(), digest_size=16).digest()


def _labels(source: Source, rows: Rows, columns: Columns) -> Sequence[Label | None]:
    if columns.label is None:
        return [None] * len(rows)
    cells = rows.written(columns.label)
    if columns.task is TaskKind.multi_label:
        return [_as_set(cell) for cell in cells]
    settings = schema.Dataset(name="file", label=columns.label)
    missing = set(find_missing(settings, cells, f"rows.{source.format}"))
    as_label = _as_score if columns.task is TaskKind.regression else str
    return [None if at in missing else as_label(cell) for at, cell in enumerate(cells)]


def _as_set(cell: str) -> tuple[str, ...] | None:
    names = split_cell(cell)
    return None if names is None else tuple(sorted(str(name).strip() for name in names))


def _as_score(cell: str) -> float | None:
    try:
        score = float(cell)
    except ValueError:
        return None
    return score if math.isfinite(score) else None
