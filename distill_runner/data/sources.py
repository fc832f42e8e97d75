"""Files of labelled texts: read, and refused when they cannot be meant.

Everything a person can get wrong about a data set (path, columns, labels) is
caught here and in the modules used here, before a row is drawn or a token is cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from distill_runner import schema
from distill_runner.data.labels import (
    FileLabels,
    are_hidden,
    class_indices,
    labelled,
    read_labels,
)
from distill_runner.data.scores import all_scores, read_scores
from distill_runner.data.tables import load, text_columns
from distill_runner.errors import Refused

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class Rows:
    """Labelled texts, one entry of each list per row; labels are class indices, or scores."""

    ids: list[str]
    texts: list[str]
    pairs: list[str] | None
    labels: Sequence[float]
    groups: list[str] | None = None  # what the rows of one group have alike

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, positions: Sequence[int]) -> Rows:
        """The rows at `positions`, in that order."""
        return Rows(
            ids=[self.ids[i] for i in positions],
            texts=[self.texts[i] for i in positions],
            pairs=None if self.pairs is None else [self.pairs[i] for i in positions],
            labels=[self.labels[i] for i in positions],
            groups=None if self.groups is None else [self.groups[i] for i in positions],
        )


@dataclass(frozen=True)
class Source:
    """What the files hold: "train", and the other splits that have labels."""

    files: dict[str, Rows]
    label_names: tuple[str, ...]
    hidden: int  # rows of files that were left aside because their labels are kept back
    without_label: int = 0  # rows dropped from the other files


def read(settings: schema.Dataset, files: Mapping[str, tuple[Path, ...]], *, cache: Path) -> Source:
    """Reads the files that `files.locate` found.

    Args:
        cache: a folder for the intermediate tables; not needed afterwards.

    Raises:
        Refused: a file, a column or a label is not what the settings say.
    """
    columns: dict[str, _Columns] = {}
    labels: dict[str, FileLabels] = {}
    hidden = without_label = 0
    for split, paths in files.items():
        table = load(settings, paths, cache=cache)
        file = paths[0].name
        if split != "train" and are_hidden(settings, table):
            _check_not_extra(settings, split, file)
            hidden += len(table)
            continue
        reader = read_scores if settings.task is schema.Task.regression else read_labels
        found = reader(settings, table, split=split, file=file)
        labels[split], kept = labelled(settings, found)
        without_label += len(table) - len(kept)
        columns[split] = _columns(settings, table.select(kept), kept, split=split, file=file)
    regression = settings.task is schema.Task.regression
    names, values = (all_scores if regression else class_indices)(settings, labels)
    rows = {split: found.rows(split, values[split]) for split, found in columns.items()}
    return Source(files=rows, label_names=names, hidden=hidden, without_label=without_label)


@dataclass(frozen=True)
class _Columns:
    """One file's columns beside the labels, of the rows that have a label."""

    numbers: list[int]  # of the rows in the file
    texts: list[list[str]]
    groups: list[str] | None

    def rows(self, split: str, labels: Sequence[float]) -> Rows:
        ids = [f"{split}-{row}" for row in self.numbers]
        pairs = self.texts[1] if len(self.texts) == 2 else None
        return Rows(ids, self.texts[0], pairs, labels, self.groups)


def _columns(
    settings: schema.Dataset, table: Dataset, numbers: list[int], *, split: str, file: str
) -> _Columns:
    found = texts(settings, table, numbers, split=split, file=file)
    return _Columns(numbers, found, _groups(settings, table, numbers, split=split, file=file))


def texts(
    settings: schema.Dataset,
    table: Dataset | Mapping[str, Sequence[str]],
    numbers: Sequence[int],
    *,
    split: str,
    file: str,
) -> list[list[str]]:
    """The text columns, one list each; `numbers` are the rows' in the file."""
    columns = []
    for name in text_columns(settings):
        values = list(table[name])
        for row, value in zip(numbers, values, strict=True):
            if not isinstance(value, str) or not value.strip():
                raise Refused(
                    f"'{file}' has a row without text: {split}-{row}, column '{name}'.",
                    key="dataset.text",
                    value=settings.text,
                    rule=f"text in every row; this one holds {value!r}",
                    way_out="name another column, or drop the row from the file",
                )
        columns.append(values)
    return columns


def _groups(
    settings: schema.Dataset, table: Dataset, numbers: list[int], *, split: str, file: str
) -> list[str] | None:
    if settings.group is None:
        return None
    groups = ["" if value is None else str(value) for value in table[settings.group]]
    for row, group in zip(numbers, groups, strict=True):
        if not group.strip():
            raise Refused(
                f"'{file}' has a row without a group: {split}-{row}.",
                key="dataset.group",
                value=settings.group,
                rule="a value in every row; rows of one value belong together",
                way_out="dataset.group=null, or drop the row from the file",
            )
    return groups


def _check_not_extra(settings: schema.Dataset, split: str, file: str) -> None:
    if split in settings.extra:
        raise Refused(
            f"'{file}' holds no labels to score by.",
            key="dataset.extra",
            value=split,
            rule="a file whose labels are not kept back",
            way_out="dataset.extra=[]",
        )
