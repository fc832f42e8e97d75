"""Defines the interface of label readers; each kind of task has one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill_runner.config import schema
from distill_runner.data.readers.places import Places
from distill_runner.errors import Refused

if TYPE_CHECKING:
    from datasets import Dataset

Label = str | int | float | tuple[str, ...]  # as read: a class, a score, or a set of labels
Value = float | tuple[int, ...]  # as stored: a class index, a score, or 0 or 1 for each label

_KINDS = {str: "names", bool: "true or false", int: "numbers", float: "numbers"}


@dataclass(frozen=True)
class FileLabels:
    """The labels of one file, row by row, before they are encoded.

    Args:
        numbers: the rows' positions in the file.
    """

    places: Places
    labels: list[Label]
    numbers: list[int]

    @property
    def file(self) -> str:
        """The name of the file."""
        return self.places.file


class LabelReader(ABC):
    """Reads the labels of one data set.

    Args:
        settings: the data set's settings.
    """

    def __init__(self, settings: schema.Dataset) -> None:
        self.settings = settings

    @property
    def columns(self) -> tuple[str, ...]:
        """The label columns; none if the rows are read without labels.

        Raises:
            Refused: the settings do not name one column.
        """
        label = self.settings.label
        if isinstance(label, str):
            return (label,) if label else ()
        raise Refused(
            "The label column is not named properly.",
            key="dataset.label",
            value=label,
            rule=f"a column's name under dataset.task={self.settings.task.value}",
            way_out="dataset.label=label",
        )

    # --- columns as files hold them ---

    @property
    def cell_rule(self) -> str:
        """What a cell of a label column must hold, for refusals."""
        return "a name or a number"

    def takes_value(self, value: object) -> bool:
        """Return whether a JSON value can be a label."""
        return isinstance(value, str | int | float)

    def takes_feature(self, feature: object) -> bool:
        """Return whether a typed column can hold labels."""
        import datasets

        kind = feature.dtype if isinstance(feature, datasets.Value) else ""
        plain = ("string", "large_string", "null", "int", "uint", "float", "bool")
        return kind.startswith(plain) or isinstance(feature, datasets.ClassLabel)

    def column(self, path: Path, labels: Sequence[Any]) -> Any:
        """Return the labels of a file as an Arrow column of one type.

        Raises:
            Refused: the labels have several types, or a number is too large.
        """
        import pyarrow as pa

        first: dict[str, Any] = {}
        for label in labels:
            if label is not None:
                first.setdefault(_KINDS[type(label)], label)
        if len(first) < 2:
            with suppress(pa.ArrowInvalid, OverflowError):
                return pa.chunked_array([pa.array(labels)])
        some = ", some ".join(f"{kind} ({repr(label)[:40]})" for kind, label in first.items())
        what = f"'{path.name}': some labels are {some}."
        if len(first) < 2:
            what = f"'{path.name}': a label is too large."
        raise Refused(
            what,
            key="dataset.label",
            value=self.settings.label,
            rule="labels of one kind: names, numbers, or true and false",
            way_out="use one type of label in every row",
        )

    def count_labels(self, cells: Sequence[str], known: Counter[str]) -> int:
        """Return the number of cells that look like labels: here, those that occur repeatedly.

        Args:
            known: the cells of the label column so far.
        """
        here = Counter(cells)
        return sum(cell in known or here[cell] > 1 for cell in cells)

    # --- rows with and without a label ---

    @abstractmethod
    def are_hidden(self, table: Dataset) -> bool:
        """Return whether the table's labels are not published."""

    def values(self, table: Dataset) -> list[object]:
        """Return the values of the label column, row by row."""
        return list(table[self.settings.label])

    @abstractmethod
    def marked(self, values: Sequence[object], file: str) -> list[int]:
        """Return the rows whose label is `dataset.no_label`, whatever the column's type."""

    @abstractmethod
    def missing(self, values: Sequence[object], file: str) -> list[int]:
        """Return the rows without a label."""

    def missing_note(self, words: Sequence[str]) -> str:  # noqa: ARG002
        """Return a hint for refusals of rows whose labels are words for a missing value."""
        return ""

    # --- labels ---

    @abstractmethod
    def read(self, table: Dataset, places: Places, numbers: list[int]) -> FileLabels:
        """Return the labels of the rows that have one.

        Args:
            table: the rows that have a label.
            numbers: their positions in the file.

        Raises:
            Refused: a label is invalid.
        """

    @abstractmethod
    def encode(
        self, found: Mapping[str, FileLabels]
    ) -> tuple[tuple[str, ...], dict[str, Sequence[Value]]]:
        """Return the names of the model's outputs, and the stored labels of each split.

        Raises:
            Refused: the labels of the files do not fit together.
        """
