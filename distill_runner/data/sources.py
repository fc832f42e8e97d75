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
from distill_runner.data.labels import FileLabels, are_hidden, class_indices, read_labels
from distill_runner.data.tables import load, text_columns
from distill_runner.errors import Refused

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class Rows:
    """Labelled texts, one entry of each list per row; labels are class indices."""

    ids: list[str]
    texts: list[str]
    pairs: list[str] | None
    labels: list[int]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, positions: Sequence[int]) -> Rows:
        """The rows at `positions`, in that order."""
        return Rows(
            ids=[self.ids[i] for i in positions],
            texts=[self.texts[i] for i in positions],
            pairs=None if self.pairs is None else [self.pairs[i] for i in positions],
            labels=[self.labels[i] for i in positions],
        )


@dataclass(frozen=True)
class Source:
    """What the files hold: "train", and "validation" and "test" where they have labels."""

    files: dict[str, Rows]
    label_names: tuple[str, ...]
    hidden: int  # rows of files that were left aside because their labels are kept back


def read(settings: schema.Dataset, files: Mapping[str, tuple[Path, ...]], *, cache: Path) -> Source:
    """Reads the files that `files.locate` found.

    Args:
        cache: a folder for the intermediate tables; not needed afterwards.

    Raises:
        Refused: a file, a column or a label is not what the settings say.
    """
    found: dict[str, list[list[str]]] = {}
    labels: dict[str, FileLabels] = {}
    hidden = 0
    for split, paths in files.items():
        table = load(settings, paths, cache=cache)
        if split != "train" and are_hidden(settings, table):
            hidden += len(table)
            continue
        file = paths[0].name
        found[split] = texts(settings, table, split=split, file=file)
        labels[split] = read_labels(settings, table, split=split, file=file)
    names, indices = class_indices(settings, labels)
    rows = {split: _rows(split, found[split], indices[split]) for split in found}
    return Source(files=rows, label_names=names, hidden=hidden)


def texts(settings: schema.Dataset, table: Dataset, *, split: str, file: str) -> list[list[str]]:
    """The text columns, one list each."""
    columns = []
    for name in text_columns(settings):
        values = list(table[name])
        for row, value in enumerate(values):
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


def _rows(split: str, texts: list[list[str]], labels: list[int]) -> Rows:
    ids = [f"{split}-{row}" for row in range(len(labels))]
    return Rows(ids, texts[0], texts[1] if len(texts) == 2 else None, labels)
