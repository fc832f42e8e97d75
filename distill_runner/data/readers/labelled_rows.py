"""Reads files of labelled texts and validates them.

This module and those it uses report mistakes in a data set's path, columns and labels before any
row is drawn or tokenised.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from distill_runner.config import schema
from distill_runner.data.readers.columns import text_columns
from distill_runner.data.readers.label_reader import LabelReader, Value
from distill_runner.data.readers.missing import LABEL, TEXT, Gaps, check_none, without_text
from distill_runner.data.readers.places import Places
from distill_runner.data.readers.tables import load
from distill_runner.errors import Refused

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class Rows:
    """Labelled texts, with one entry per row in each list; labels are encoded."""

    ids: list[str]
    texts: list[str]
    pairs: list[str] | None
    labels: Sequence[Value]
    groups: list[str] | None = None  # the name of each row's group

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, positions: Sequence[int]) -> Rows:
        """Return the rows at `positions`, in this order."""
        return Rows(
            ids=[self.ids[i] for i in positions],
            texts=[self.texts[i] for i in positions],
            pairs=None if self.pairs is None else [self.pairs[i] for i in positions],
            labels=[self.labels[i] for i in positions],
            groups=None if self.groups is None else [self.groups[i] for i in positions],
        )


@dataclass(frozen=True)
class Source:
    """The contents of the files: "train", and the other splits with labels."""

    files: dict[str, Rows]
    label_names: tuple[str, ...]
    hidden: int  # rows of files that are ignored because their labels are not published
    left_out: dict[str, dict[str, int]]  # the number of rows left out, by file and reason


def read(labels: LabelReader, files: Mapping[str, tuple[Path, ...]], *, cache: Path) -> Source:
    """Read the files that `files.locate` found.

    Args:
        labels: the reader of the data set's labels.
        files: the files of each split.
        cache: a folder for the intermediate tables; not needed afterwards.

    Raises:
        Refused: a file, a column or a label does not fit the settings.
    """
    settings = labels.settings
    found: dict[str, _File] = {}
    hidden = 0
    for split, paths in files.items():
        table = load(labels, paths, cache=cache)
        if split != "train" and labels.are_hidden(table):
            _check_not_extra(settings, split, paths[0].name)
            hidden += len(table)
        else:
            found[split] = _file(labels, table, Places(settings, paths))
    check_none(settings, [file.gaps for file in found.values()])
    kept = {split: file.kept() for split, file in found.items()}
    names, values = labels.encode(
        {
            split: labels.read(table, found[split].gaps.places, numbers)
            for split, (table, numbers) in kept.items()
        }
    )
    rows = {
        split: _rows(settings, *kept[split], found[split].gaps.places, split, values[split])
        for split in found
    }
    left_out = {file.gaps.places.file: file.left_out for file in found.values() if file.left_out}
    return Source(files=rows, label_names=names, hidden=hidden, left_out=left_out)


@dataclass(frozen=True)
class _File:
    """A file's table, with the rows marked as unlabelled and the incomplete ones."""

    settings: schema.Dataset
    table: Dataset
    marked: list[int]
    gaps: Gaps

    def kept(self) -> tuple[Dataset, list[int]]:
        """Return the complete rows, and their positions in the file.

        Raises:
            Refused: no row is complete.
        """
        marks = set(self.marked)
        numbers = [row for row in self.gaps.kept(range(len(self.table))) if row not in marks]
        if not numbers:
            key = "no_label" if marks else "missing"
            raise Refused(
                f"'{self.gaps.places.file}' has no row with a text and a label.",
                key=f"dataset.{key}",
                value=self.settings.no_label if marks else self.settings.missing.value,
                rule="rows without a text or a label are left out, and some rows must remain",
                way_out=f"dataset.{key}={'null' if marks else 'refuse'}, which names them",
            )
        return self.table.select(numbers), numbers

    @property
    def left_out(self) -> dict[str, int]:
        counts = Counter(self.gaps.counts) + Counter({LABEL: len(self.marked)})
        return dict(counts)


def _file(reader: LabelReader, table: Dataset, places: Places) -> _File:
    settings, values = reader.settings, reader.values(table)
    marks = reader.marked(values, places.file)
    gone = set(marks)
    texts = [row for row in without_text(table, text_columns(settings)) if row not in gone]
    gone |= set(texts)
    labels = [row for row in reader.missing(values, places.file) if row not in gone]
    words = [str(values[row]) for row in labels if isinstance(values[row], str)]
    note = reader.missing_note([word for word in words if word.strip()])
    return _File(settings, table, marks, Gaps(places, {TEXT: texts, LABEL: labels}, note))


def _rows(
    settings: schema.Dataset,
    table: Dataset,
    numbers: list[int],
    places: Places,
    split: str,
    labels: Sequence[Value],
) -> Rows:
    columns = [list(table[name]) for name in text_columns(settings)]
    return Rows(
        ids=[f"{split}-{row}" for row in numbers],
        texts=columns[0],
        pairs=columns[1] if len(columns) == 2 else None,
        labels=labels,
        groups=_groups(settings, table, numbers, places),
    )


def _groups(
    settings: schema.Dataset, table: Dataset, numbers: list[int], places: Places
) -> list[str] | None:
    if settings.group is None:
        return None
    groups = ["" if value is None else str(value) for value in table[settings.group]]
    bare = [row for row, group in zip(numbers, groups, strict=True) if not group.strip()]
    if bare:
        named = places.some(bare)
        more = f" and {len(bare) - len(named):,} more" if len(bare) > len(named) else ""
        raise Refused(
            f"Rows without a group: {', '.join(named)}{more}.",
            key="dataset.group",
            value=settings.group,
            rule="a value in every row; rows of one value belong together",
            way_out="dataset.group=null, or drop the rows from the file",
        )
    return groups


def _check_not_extra(settings: schema.Dataset, split: str, file: str) -> None:
    if split in settings.extra:
        raise Refused(
            f"'{file}' has no labels to score by.",
            key="dataset.extra",
            value=split,
            rule="a file with published labels",
            way_out="dataset.extra=[]",
        )
