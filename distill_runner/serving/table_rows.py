"""Consecutive rows of a table, each in the form of its file: cells, JSON objects or Arrow columns.

Whatever the form, rows can be written in any other. A row of a file that is written in the same
format comes back to the letter.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from distill_runner.errors import Refused

if TYPE_CHECKING:
    import pyarrow as pa

Cell = str | None  # None: the row has no such value


class Rows(ABC):
    """Consecutive rows of one table."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def texts(self, name: str) -> Sequence[Cell]:
        """Return one column as text. [rows].

        Raises:
            Refused: a cell holds a list or an object.
        """

    @abstractmethod
    def written(self, name: str) -> Sequence[str]:
        """Return one column as a delimited file would have it; a missing value is empty. [rows]."""

    @abstractmethod
    def cells(self, names: Sequence[str]) -> Iterator[list[str]]:
        """Yield each row's cells as text, in the order of `names`; a missing value is empty."""

    @abstractmethod
    def objects(self) -> Iterator[str]:
        """Yield each row as the text of a JSON object."""

    @abstractmethod
    def batch(self, names: Sequence[str]) -> pa.RecordBatch:
        """Return the rows as Arrow columns; columns without a type of their own are text."""

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """The names of the columns that these rows have, in order."""

    @abstractmethod
    def after(self, count: int) -> Rows:
        """Return the rows without the first `count`."""


@dataclass(frozen=True)
class CellRows(Rows):
    """Rows of a delimited file.

    Args:
        names: the columns.
        found: [rows][columns].
    """

    names: tuple[str, ...]
    found: Sequence[list[str]]

    def __len__(self) -> int:
        return len(self.found)

    def texts(self, name: str) -> list[Cell]:
        at = self.names.index(name)
        return [row[at] for row in self.found]

    def written(self, name: str) -> list[str]:
        at = self.names.index(name)
        return [row[at] for row in self.found]

    def cells(self, names: Sequence[str]) -> Iterator[list[str]]:  # noqa: ARG002
        return iter(self.found)

    def objects(self) -> Iterator[str]:
        return (
            json.dumps(dict(zip(self.names, row, strict=True)), ensure_ascii=False)
            for row in self.found
        )

    def batch(self, names: Sequence[str]) -> pa.RecordBatch:
        return _text_batch(names, self.found)

    @property
    def columns(self) -> tuple[str, ...]:
        return self.names

    def after(self, count: int) -> CellRows:
        return CellRows(self.names, self.found[count:])


@dataclass(frozen=True)
class ObjectRows(Rows):
    """Rows of a JSON file.

    Args:
        found: the objects. [rows].
        raw: the objects as the file has them. [rows].
        places: of each object in its file, for refusals. [rows].
    """

    found: Sequence[Mapping[str, object]]
    raw: Sequence[str]
    places: Sequence[str]

    def __len__(self) -> int:
        return len(self.found)

    def texts(self, name: str) -> list[Cell]:
        cells = [row.get(name) for row in self.found]
        for place, cell in zip(self.places, cells, strict=True):
            _check_text(name, cell, place)
        return [None if cell is None else _as_text(cell) for cell in cells]

    def written(self, name: str) -> list[str]:
        return [_as_text(row.get(name)) for row in self.found]

    def cells(self, names: Sequence[str]) -> Iterator[list[str]]:
        for row, place in zip(self.found, self.places, strict=True):
            if unknown := row.keys() - set(names):
                raise Refused(
                    f"{place.capitalize()} has the key {min(unknown)[:60]!r}, which no row before "
                    "it had.",
                    key="FILE",
                    value="-",
                    rule="the keys of the first rows, for an output with columns",
                    way_out="--output NAME.jsonl, which takes any keys",
                )
            yield [_as_text(row.get(name)) for name in names]

    def objects(self) -> Iterator[str]:
        return iter(self.raw)

    def batch(self, names: Sequence[str]) -> pa.RecordBatch:
        return _text_batch(names, list(self.cells(names)))

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for row in self.found for name in row))

    def after(self, count: int) -> ObjectRows:
        return ObjectRows(self.found[count:], self.raw[count:], self.places[count:])


@dataclass(frozen=True)
class ArrowRows(Rows):
    """Rows of a parquet file."""

    found: pa.RecordBatch

    def __len__(self) -> int:
        return int(self.found.num_rows)

    def texts(self, name: str) -> list[Cell]:
        import pyarrow as pa
        import pyarrow.compute as pc

        cells: list[Cell] = pc.cast(self.found.column(name), pa.large_string()).to_pylist()
        return cells

    def written(self, name: str) -> list[str]:
        return [_as_text(cell) for cell in self.found.column(name).to_pylist()]

    def cells(self, names: Sequence[str]) -> Iterator[list[str]]:
        return (list(row) for row in zip(*map(self.written, names), strict=True))

    def objects(self) -> Iterator[str]:
        rows = self.found.to_pylist()
        return (json.dumps(row, ensure_ascii=False, default=str) for row in rows)

    def batch(self, names: Sequence[str]) -> pa.RecordBatch:  # noqa: ARG002
        return self.found

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.found.schema.names)

    def after(self, count: int) -> ArrowRows:
        return ArrowRows(self.found.slice(count))


def _as_text(value: object) -> str:
    """Return the cell of a delimited file for a value: JSON, except for texts and None."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, default=str)


def _check_text(name: str, cell: object, place: str) -> None:
    """Refuse a JSON value that is no text, nor a number, nor missing."""
    what = None
    if isinstance(cell, list | dict):
        what = "holds a list or an object"
    elif isinstance(cell, str):
        try:
            cell.encode()
        except UnicodeEncodeError:
            what = "holds half of a surrogate pair, which is no character"
    if what is not None:
        raise Refused(
            f"{place.capitalize()}: the column {name[:60]!r} {what}.",
            key="--text",
            value=name,
            rule="a text in every row, or null",
            way_out="name another column, or correct the row",
        )


def _text_batch(names: Sequence[str], rows: Sequence[Sequence[str]]) -> pa.RecordBatch:
    import pyarrow as pa

    columns = zip(*rows, strict=True) if rows else ([] for _ in names)
    return pa.record_batch([pa.array(column, pa.string()) for column in columns], list(names))
