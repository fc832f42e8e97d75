"""Turns the labels of files, numbers or names, into class indices."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from distill_runner.config import schema
from distill_runner.data.readers.label_reader import FileLabels, Label, LabelReader, Value
from distill_runner.data.readers.places import Places
from distill_runner.errors import Refused

if TYPE_CHECKING:
    from datasets import Dataset

WHOLE = re.compile(r"-?[0-9]+")
_NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?")
# Words that programs write for a missing value.
_MISSING = {"nan", "none", "null", "n/a", "na", "<na>", "#n/a"}
_HIDDEN = -1  # GLUE's placeholder for a label that is not published


class ClassLabels(LabelReader):
    """Reads labels that are classes, given by name or number."""

    def are_hidden(self, table: Dataset) -> bool:
        return no_labels(self.settings, table)

    def marked(self, values: Sequence[object], file: str) -> list[int]:
        delimited = Path(file).suffix.lower() in (".csv", ".tsv")
        return find_marked(self.settings, values, as_numbers=delimited)

    def missing(self, values: Sequence[object], file: str) -> list[int]:
        return find_missing(self.settings, values, file)

    def missing_note(self, words: Sequence[str]) -> str:
        note = "; dataset.label_names=[…] with its name in it makes a word a class"
        return note if words else ""

    def read(self, table: Dataset, places: Places, numbers: list[int]) -> FileLabels:
        """Return the table's labels; the file's class names replace numbers, if it has any.

        Raises:
            Refused: a label is neither a whole number nor a name.
        """
        names = getattr(table.features[self.settings.label], "names", None)
        labels = [
            _label(self.settings, value, names, places, row)
            for row, value in zip(numbers, table[self.settings.label], strict=True)
        ]
        # Delimited files have no types, so labels that look like numbers are numbers.
        if Path(places.file).suffix.lower() in (".csv", ".tsv"):
            labels = _untyped(self.settings, labels, places, numbers)
        return FileLabels(places, labels, numbers)

    def encode(
        self, found: Mapping[str, FileLabels]
    ) -> tuple[tuple[str, ...], dict[str, Sequence[Value]]]:
        """Return the names of the classes, and the class indices of each split.

        Raises:
            Refused: a label is not a class, or the training labels do not form classes.
        """
        distinct = {label for part in found.values() for label in part.labels}
        given = self.settings.label_names
        names = list(map(str, _names_of(self.settings, distinct) if given is None else given))
        if given is None:
            _check_alike(names)
        index: dict[Label, int] = {name: n for n, name in enumerate(names)}
        # Names that are numbers stand for these numbers: with [1, 2, 3], 1 is the first class.
        numbered = all(WHOLE.fullmatch(name) for name in names)
        index |= {int(name) if numbered else n: n for n, name in enumerate(names)}
        for part in found.values():
            for row, label in zip(part.numbers, part.labels, strict=True):
                if label not in index:
                    raise _outside(self.settings, part.places.of(row), label, distinct)
        indices = {split: [index[label] for label in part.labels] for split, part in found.items()}
        _check_classes(self.settings, names, indices["train"])
        for n in sorted(set(range(len(names))) - set(indices["train"])):
            raise _untrained(self.settings, n, names, found, indices)
        return tuple(names), dict(indices)


def no_labels(settings: schema.Dataset, table: Dataset) -> bool:
    """Return whether the table's labels are not published: no label column, or -1 in every row."""
    if settings.label not in table.column_names:
        return True
    return set(table.unique(settings.label)) in ({_HIDDEN}, {str(_HIDDEN)}, {f"{_HIDDEN}.0"})


def find_missing(settings: schema.Dataset, values: Sequence[object], file: str) -> list[int]:
    """Return the rows without a label: empty cells, and words that programs write for them.

    Args:
        values: the whole label column.
        file: the file's name; only delimited files use words for missing values.
    """
    words = _MISSING if Path(file).suffix.lower() in (".csv", ".tsv") else set()
    meant = {settings.no_label, *(settings.label_names or ())}
    return [
        row
        for row, value in enumerate(values)
        if value is None
        or (isinstance(value, float) and math.isnan(value))
        or (isinstance(value, str) and str(value).strip().casefold() in {"", *words})
        if str(value) not in meant
    ]


def find_marked(
    settings: schema.Dataset, values: Sequence[object], *, as_numbers: bool
) -> list[int]:
    """Return the rows whose label is `dataset.no_label`, whatever the column's type.

    Args:
        as_numbers: read texts as numbers, so that "-1.0" is -1.
    """
    mark = settings.no_label
    if mark is None:
        return []
    return [
        row
        for row, value in enumerate(values)
        if mark == str(value)
        or (isinstance(value, float) and value.is_integer() and mark == str(int(value)))
        or (as_numbers and mark == _short(value))
    ]


def _short(value: object) -> str:
    """Return a number without a trailing fraction of zero; "" for other texts."""
    try:
        return f"{float(str(value)):g}"
    except ValueError:
        return ""


def _label(
    settings: schema.Dataset, value: object, names: list[str] | None, places: Places, row: int
) -> Label:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and names is not None and 0 <= value < len(names):
        # By name if the same names are configured, so that their configured order holds.
        asked = settings.label_names
        return names[value] if asked is None or set(asked) == set(names) else value
    if isinstance(value, str | int):
        return value if isinstance(value, str) else int(value)
    what = f"A label is neither a whole number nor a name: {value!r}, {places.of(row)}."
    raise _bad_label(settings, what)


def _untyped(
    settings: schema.Dataset, labels: list[Label], places: Places, rows: list[int]
) -> list[Label]:
    distinct = {str(label) for label in labels}
    if settings.label_names is not None and distinct <= set(settings.label_names):
        return labels
    if not all(_NUMBER.fullmatch(label) for label in distinct):
        return labels
    numbers = {label: float(label) for label in distinct}
    broken = sorted(label for label, number in numbers.items() if not number.is_integer())
    if broken:
        where = places.of(rows[labels.index(broken[0])])
        what = f"A label is neither a whole number nor a name: {broken[0]}, {where}."
        raise _bad_label(settings, what)
    return [int(numbers[str(label)]) for label in labels]


def check_trained(settings: schema.Dataset, names: Sequence[str], labels: Collection[int]) -> None:
    """Refuse classes without a training row.

    Args:
        names: the names of the classes.
        labels: the class indices that occur in the training rows.

    Raises:
        Refused: a class has no training row.
    """
    missing = [name for n, name in enumerate(names) if n not in labels]
    if missing:
        raise Refused(
            f"The training split has no row of the class {missing[0][:60]!r}.",
            key="dataset.split.train",
            value=settings.split.train,
            rule=f"training rows of each of the {len(names)} classes",
            way_out="a larger dataset.split.train, or more rows of that class in the file",
        )


def _untrained(
    settings: schema.Dataset,
    n: int,
    names: Sequence[str],
    found: Mapping[str, FileLabels],
    indices: Mapping[str, Sequence[int]],
) -> Refused:
    given = settings.label_names
    others = [repr(found[split].file) for split, labels in indices.items() if n in labels]
    kept = ",".join(name for name in names if name != names[n])
    only = f", only {', '.join(others)}" if others else ""
    return Refused(
        f"No row of '{found['train'].file}' has the class {names[n][:60]!r}{only}.",
        key="dataset.label" if given is None else "dataset.label_names",
        value=settings.label if given is None else list(given),
        rule="training rows of every class",
        way_out="add such training rows, or take the others out of their file"
        if others
        else f"dataset.label_names=[{kept}]",
    )


def _check_alike(names: Sequence[str]) -> None:
    """Refuse classes whose names differ only in case, spaces or Unicode form."""
    seen: dict[str, str] = {}
    for name in names:
        form = " ".join(unicodedata.normalize("NFKC", name).casefold().split())
        if (other := seen.setdefault(form, name)) != name:
            raise Refused(
                f"The labels {other!r} and {name!r} differ only in case or spaces.",
                key="dataset.label_names",
                value=None,
                rule="one spelling for one class",
                way_out="correct the file, or, if they are different classes, "
                f"dataset.label_names=[{','.join(map(repr, names[:20]))}]",
            )


def _names_of(settings: schema.Dataset, distinct: set[Label]) -> list[str]:
    """Return the classes' names if none are configured: the sorted numbers or names that occur."""
    numbers = {label for label in distinct if isinstance(label, int)}
    if not numbers:
        return sorted(str(label) for label in distinct)
    if numbers != distinct:
        words = sorted(str(label) for label in distinct - numbers)
        raise _bad_label(settings, f"Some labels are numbers, some names ({words[0]!r}).")
    if {_HIDDEN, 0} <= numbers:
        raise Refused(
            "Some labels are -1, which may be a class or a missing label.",
            key="dataset.label_names",
            value=None,
            rule="-1 together with 0 usually marks a row without a label",
            way_out="dataset.no_label=-1 drops those rows, or "
            f"dataset.label_names={sorted(numbers)[:20]} if it is a class",
        )
    largest = max(map(abs, numbers))
    # A column of years or identifiers is not a column of classes.
    if largest >= 10 * max(len(numbers), 10):
        what = f"The labels do not look like class numbers: {len(numbers)} values up to {largest}."
        raise _bad_label(settings, what)
    return [str(n) for n in sorted(numbers)]


def _check_classes(settings: schema.Dataset, names: list[str], labels: list[int]) -> None:
    given = settings.label_names
    if given is not None and (len(set(names)) != len(names) or len(names) < 2):
        raise Refused(
            "The class names repeat, or there are fewer than two.",
            key="dataset.label_names",
            value=given,
            rule="at least two different classes",
            way_out="dataset.label_names=[negative,positive], or null to use the names in the file",
        )
    if len(set(labels)) < 2:
        what = f"All training rows have the same label: '{names[labels[0]]}'."
        raise _bad_label(settings, what)
    if len(names) > max(20, len(labels) // 2):
        what = f"The labels do not look like classes: {len(names)} values in {len(labels)} rows."
        raise _bad_label(settings, what)


def _bad_label(settings: schema.Dataset, what: str) -> Refused:
    return Refused(
        what,
        key="dataset.label",
        value=settings.label,
        rule="a column with a class name or a class number in every row; at least two classes",
        way_out="name the column that contains the classes, or correct the file",
    )


def _outside(
    settings: schema.Dataset, where: str, label: Label, distinct: Iterable[Label]
) -> Refused:
    return Refused(
        f"A label is not one of the class names: {label!r}, {where}.",
        key="dataset.label_names",
        value=settings.label_names,
        rule="a name for every class; numbers count them from 0, unless the names are numbers",
        way_out=f"labels found: {sorted(str(label)[:60] for label in distinct)[:20]}",
    )
