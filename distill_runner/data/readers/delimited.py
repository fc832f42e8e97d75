"""Reads rows from comma- and tab-separated files.

A lenient reader turns a stray quote into a single row that contains, say, the next fifty rows.
Therefore files with misplaced quotes are refused.
"""

from __future__ import annotations

import csv
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from distill_runner.config import schema
from distill_runner.data.readers.files import bad_content, bad_path, unreadable
from distill_runner.errors import Refused

if TYPE_CHECKING:
    from distill_runner.data.readers.label_reader import LabelReader

# Fields in quotes, with inner quotes doubled, or fields without quotes.
_FIELD = r'(?:"(?:[^"]++|"")*+"|[^",\r\n]*+)'
_WELL_QUOTED = re.compile(rf"{_FIELD}(?:,{_FIELD})*+[\r\n]*+")
_RULE = 'quotes enclose a whole field, and quotes inside it are doubled: ""'
_WAY_OUT = "double the quotes inside texts, or save the file as .tsv (no quoting there) or .jsonl"
# Texts may exceed the csv module's default limit of 131,072 characters.
csv.field_size_limit(sys.maxsize)


def header(settings: schema.Dataset, path: Path) -> list[str]:
    """Return the column names of a file.

    Raises:
        Refused: the first lines cannot be parsed, or the file has no rows.
    """
    rows = _records(settings, path)
    names = next(rows, None)
    if names is None or next(rows, None) is None:
        raise bad_path(settings, path, f"'{path.name}' has no rows below its first line.")
    return names.cells


def rows(labels: LabelReader, path: Path, wanted: list[str]) -> Iterator[list[str]]:
    """Yield the `wanted` cells of each row.

    Raises:
        Refused: a row has more or fewer fields than the header, or misplaced quotes.
    """
    names, records = _open(labels.settings, path)
    at = [names.index(name) for name in wanted]
    present = [names.index(name) for name in labels.columns if name in names]
    # With several label columns, no single one distinguishes rows from lines of text.
    label = present[0] if len(present) == 1 else None
    swallowed = _Swallowed(labels, width=len(names), label=label)
    for record in records:
        swallowed.look_at(record)
        yield [record.cells[n] for n in at]
    swallowed.check(path)


def open_rows(
    settings: schema.Dataset, path: Path, *, tabs: bool
) -> tuple[list[str], Iterator[list[str]]]:
    """Return the column names and all cells of each row; reads once, from start to end.

    Args:
        settings: for refusals.
        path: a file or a pipe.
        tabs: whether tabs separate the fields, which then have no quotes.

    Raises:
        Refused: there is no first line; later, a row has more or fewer fields than it, or
            misplaced quotes.
    """
    names, records = _open(settings, path, tabs=tabs)
    return names, (record.cells for record in records)


def _open(
    settings: schema.Dataset, path: Path, *, tabs: bool | None = None
) -> tuple[list[str], Iterator[_Record]]:
    records = _records(settings, path, tabs=tabs)
    head = next(records, None)
    if head is None:
        raise bad_path(settings, path, f"'{path.name}' is empty.")
    return head.cells, _of_width(settings, path, len(head.cells), records)


def _of_width(
    settings: schema.Dataset, path: Path, width: int, records: Iterator[_Record]
) -> Iterator[_Record]:
    for record in records:
        if len(record.cells) != width:
            raise bad_content(
                settings,
                path,
                f"'{path.name}', line {record.line}: {len(record.cells)} fields, where the first "
                f"line has {width}.",
                rule="as many fields in every row as there are columns",
                way_out="quote fields that contain a separator, or correct the line",
            )
        yield record


def lines(settings: schema.Dataset, path: Path) -> Iterator[int]:
    """Yield the line on which each row starts; the file's first line is 1."""
    records = _records(settings, path)
    next(records)
    return (record.line for record in records)


@dataclass(frozen=True)
class _Record:
    line: int  # the row's first line in the file, from 1
    cells: list[str]
    raw: list[str]  # its lines as in the file


class _Lines:
    """Iterates over lines, and records those read since the last call of `taken`."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._taken: list[str] = []

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self._taken.append(line)
        return line

    def taken(self) -> list[str]:
        taken, self._taken = self._taken, []
        return taken


def _records(
    settings: schema.Dataset, path: Path, *, tabs: bool | None = None
) -> Iterator[_Record]:
    # Quotes in GLUE's tab-separated files are plain characters.
    tabs = path.suffix.lower() == ".tsv" if tabs is None else tabs
    line = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as content:
            lines = _Lines(iter(content))
            reader = (
                csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
                if tabs
                else csv.reader(lines, strict=True)
            )
            for cells in reader:
                raw = lines.taken()
                if not tabs and not all('"' not in one for one in raw):
                    _check_quotes(settings, path, line, raw)
                if cells:
                    yield _Record(line, cells, raw)
                line += len(raw)
    except csv.Error as error:
        raise _misquoted(settings, path, line, str(error)) from error
    except (UnicodeDecodeError, OSError) as error:
        raise unreadable(settings, path, error) from error


def _check_quotes(settings: schema.Dataset, path: Path, line: int, raw: list[str]) -> None:
    if not _WELL_QUOTED.fullmatch("".join(raw)):
        raise _misquoted(settings, path, line, "a quote inside a field that is not quoted")


def _misquoted(settings: schema.Dataset, path: Path, line: int, why: str) -> Refused:
    if why == "unexpected end of data":
        why = "the opening quote is never closed"
    what = f"'{path.name}', the row that starts on line {line}: {why}."
    return bad_content(settings, path, what, rule=_RULE, way_out=_WAY_OUT)


@dataclass
class _Swallowed:
    """Finds rows swallowed by a quoted field because of two stray quotes around them."""

    labels: LabelReader
    width: int
    label: int | None  # the label's column
    _known: Counter[str] = field(default_factory=Counter)
    _spans: list[tuple[_Record, list[list[str]]]] = field(default_factory=list)

    def look_at(self, record: _Record) -> None:
        if self.label is not None:
            self._known[record.cells[self.label]] += 1
        # The last line ends the record.
        inside = [line.strip("\r\n").replace('"', "").split(",") for line in record.raw[:-1]]
        alike = [cells for cells in inside if len(cells) == self.width]
        # With a single column, rows cannot be distinguished from lines of text.
        if self.width > 1 and 2 * len(alike) > len(inside):
            self._spans.append((record, alike))

    def check(self, path: Path) -> None:
        for record, alike in self._spans:
            count = self._rows_in(alike)
            if 2 * count >= len(record.raw):
                last = record.line + len(record.raw) - 1
                what = (
                    f"'{path.name}', lines {record.line} to {last}: one quoted field contains what "
                    f"look like {count} rows."
                )
                raise bad_content(self.labels.settings, path, what, rule=_RULE, way_out=_WAY_OUT)

    def _rows_in(self, alike: list[list[str]]) -> int:
        """Return the number of lines with a label, as in a row; lines of text have none."""
        if self.label is None:
            return len(alike)
        return self.labels.count_labels([cell[self.label] for cell in alike], self._known)
