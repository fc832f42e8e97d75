"""Reads labels that are sets of names: one column of lists, or one column per label."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill_runner.data.readers.class_labels import WHOLE
from distill_runner.data.readers.label_reader import FileLabels, Label, LabelReader, Value
from distill_runner.data.readers.places import Places
from distill_runner.errors import Refused

if TYPE_CHECKING:
    from datasets import Dataset

SEPARATOR = "|"  # between the labels in a cell
_TRUTH = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}
_HIDDEN = "-1"


class LabelSets(LabelReader):
    """Reads sets of labels.

    If `dataset.label` is a name, that column holds lists (JSON, parquet), or texts such as
    `joy|anger` or `["joy", "anger"]`; an empty list or text is an empty set. If it is a list,
    each named column says by 0 or 1, or false or true, whether a row has the label of that name.
    """

    @property
    def columns(self) -> tuple[str, ...]:
        label: Any = self.settings.label
        if isinstance(label, str):
            return (label,) if label else ()
        named: list[Any] = list(label) if isinstance(label, Sequence) else []
        good = len(named) > 1 and all(isinstance(name, str) and name for name in named)
        if not good or len(set(named)) < len(named) or self.settings.label_names is not None:
            raise Refused(
                "The label columns are not named properly.",
                key="dataset.label",
                value=label,
                rule="a column of sets, or two or more different columns, which are the labels' "
                "names, and dataset.label_names=null",
                way_out="dataset.label=labels, or dataset.label=[joy,anger]",
            )
        return tuple(named)

    @property
    def cell_rule(self) -> str:
        if self._one_column:
            return f"a list of names, or a text such as joy{SEPARATOR}anger,"
        return "0 or 1"

    @property
    def _one_column(self) -> bool:
        return isinstance(self.settings.label, str)

    def takes_value(self, value: object) -> bool:
        if not self._one_column:
            return isinstance(value, bool | int | float)
        return isinstance(value, list) and all(isinstance(one, str | int) for one in value)

    def takes_feature(self, feature: object) -> bool:
        import datasets

        if not self._one_column:
            return super().takes_feature(feature)
        inner = getattr(feature, "feature", feature)
        kind = inner.dtype if isinstance(inner, datasets.Value) else ""
        names = kind in ("string", "large_string", "null")
        return names or (inner is not feature and kind.startswith(("int", "uint")))

    def column(self, path: Path, labels: Sequence[Any]) -> Any:
        if not self._one_column:
            return super().column(path, labels)
        import pyarrow as pa

        written = [json.dumps(one) if isinstance(one, list) else one for one in labels]
        return pa.chunked_array([pa.array(written, pa.string())])

    # --- rows with and without a label ---

    def are_hidden(self, table: Dataset) -> bool:
        if not set(self.columns) & set(table.column_names):
            return True
        return all(_is_mark(_HIDDEN, value) for value in self.values(table))

    def values(self, table: Dataset) -> list[object]:
        """Return a list, a text or None per row; with a column per label, the tuple of cells."""
        if self._one_column:
            return list(table[self.settings.label])
        return list(zip(*(list(table[name]) for name in self.columns), strict=True))

    def marked(self, values: Sequence[object], file: str) -> list[int]:  # noqa: ARG002
        mark = self.settings.no_label
        return [row for row, value in enumerate(values) if mark and _is_mark(mark, value)]

    def missing(self, values: Sequence[object], file: str) -> list[int]:  # noqa: ARG002
        """Return the rows without a list or with an empty cell; an empty list is a set."""
        return [row for row, value in enumerate(values) if _is_missing(value)]

    # --- labels ---

    def read(self, table: Dataset, places: Places, numbers: list[int]) -> FileLabels:
        """Return the set of each row.

        Raises:
            Refused: a row names a label twice, or a cell holds neither a set nor a truth value.
        """
        reader = self._set if self._one_column else self._truths
        labels: list[Label] = [
            reader(value, places.of(row))
            for row, value in zip(numbers, self.values(table), strict=True)
        ]
        return FileLabels(places, labels, numbers)

    def _set(self, value: Any, where: str) -> tuple[str, ...]:
        names = value if isinstance(value, list) else split_cell(value)
        if names is None or not all(isinstance(name, str | int) for name in names):
            raise self._refused(f"A cell is not a set of labels: {str(value)[:60]!r}, {where}.")
        found = tuple(str(name).strip() for name in names)
        if not all(found):
            raise self._refused(f"A label has no name: {str(value)[:60]!r}, {where}.")
        twice = [name for name, count in Counter(found).items() if count > 1]
        if twice:
            raise self._refused(f"A row names the label {twice[0][:60]!r} twice: {where}.")
        return found

    def _truths(self, value: Any, where: str) -> tuple[str, ...]:
        chosen = []
        for name, cell in zip(self.columns, value, strict=True):
            truth = _TRUTH.get(str(cell).strip().casefold())
            if truth is None:
                what = f"Column {name[:60]!r} holds neither 0 nor 1: {str(cell)[:60]!r}, {where}."
                raise self._refused(what)
            chosen += [name] if truth else []
        return tuple(chosen)

    def encode(
        self, found: Mapping[str, FileLabels]
    ) -> tuple[tuple[str, ...], dict[str, Sequence[Value]]]:
        """Return the labels' names, and for each row 0 or 1 per label.

        Raises:
            Refused: a label is unknown, there are fewer than two, or one has no training row.
        """
        names = self._names(found)
        for part in found.values():
            for row, label in zip(part.numbers, part.labels, strict=True):
                for name in _as_set(label):
                    if name not in names:
                        raise self._unknown(name, names, part.places.of(row))
        encoded = {
            split: [tuple(int(name in _as_set(label)) for name in names) for label in part.labels]
            for split, part in found.items()
        }
        trained = {name for label in found["train"].labels for name in _as_set(label)}
        for name in names:
            if name not in trained:
                what = f"No row of '{found['train'].file}' has the label {name[:60]!r}."
                raise self._refused(what)
        return names, dict(encoded)

    def _names(self, found: Mapping[str, FileLabels]) -> tuple[str, ...]:
        """Return the configured names, or all that occur: numbers by size, others by name."""
        if not self._one_column:
            return self.columns
        sets = [_as_set(label) for part in found.values() for label in part.labels]
        if self.settings.label_names is not None:
            names = tuple(self.settings.label_names)
        else:
            distinct = {name for names in sets for name in names}
            whole = all(WHOLE.fullmatch(name) for name in distinct)
            names = tuple(sorted(distinct, key=int if whole else str))
        if len(names) < 2 or len(set(names)) < len(names):
            what = f"There are not two or more different labels: {', '.join(names)[:60]!r}."
            raise self._refused(what)
        if len(names) > max(20, len(sets) // 2):
            what = f"The names do not look like labels: {len(names)} of them in {len(sets)} rows."
            raise self._refused(what)
        return names

    def _unknown(self, name: str, names: Sequence[str], where: str) -> Refused:
        return Refused(
            f"A label is outside the label names: {name[:60]!r}, {where}.",
            key="dataset.label_names",
            value=self.settings.label_names,
            rule="a name for every label",
            way_out=f"dataset.label_names=null takes all that occur; now {', '.join(names)[:200]}",
        )

    def _refused(self, what: str) -> Refused:
        return Refused(
            what,
            key="dataset.label",
            value=self.settings.label,
            rule=f"sets of two labels or more under dataset.task=multi_label: a list, a text such "
            f"as joy{SEPARATOR}anger, or a column of 0 and 1 for each label",
            way_out="correct the file, or name the column or the columns that hold the labels",
        )


def written_set(names: Sequence[str]) -> str:
    """Return the text of a delimited file's cell for a set of labels."""
    return SEPARATOR.join(names)


def read_set(written: str) -> list[str]:
    """Return the names that `written_set` joined."""
    return written.split(SEPARATOR) if written else []


def split_cell(cell: str) -> list[Any] | None:
    """Return the labels that a cell names, such as `joy|anger` or `["joy"]`; None if no set."""
    text = cell.strip()
    if not text.startswith("["):
        return text.split(SEPARATOR) if text else []
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, list) else None


def _as_set(label: Label) -> tuple[str, ...]:
    assert isinstance(label, tuple)
    return label


def _is_mark(mark: str, value: object) -> bool:
    """Return whether a row's value, in every cell, says that there is no label."""
    if isinstance(value, tuple):
        return all(_is_mark(mark, cell) for cell in value)
    if isinstance(value, list):
        return len(value) == 1 and str(value[0]) == mark
    return str(value) == mark or (isinstance(value, float) and f"{value:g}" == mark)


def _is_missing(value: object) -> bool:
    if isinstance(value, tuple):
        return any(cell == "" or _is_missing(cell) for cell in value)
    return value is None or (isinstance(value, float) and math.isnan(value))
