"""Writes rows with added columns: csv, tsv, jsonl or parquet, chunk by chunk."""

from __future__ import annotations

import csv
import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from distill_runner.errors import Refused
from distill_runner.serving.answers import AddedColumn
from distill_runner.serving.table_rows import Rows

if TYPE_CHECKING:
    import pyarrow as pa

_GROUP_ROWS = 32_768  # rows that are written to a parquet file together


class Sink(Protocol):
    """Receives bytes."""

    def write(self, data: bytes, /) -> object:
        """Append bytes."""

    def flush(self) -> object:
        """Hand the bytes on."""


class TableWriter(ABC):
    """Writes a table with columns added to it."""

    @abstractmethod
    def write(self, rows: Rows, added: Sequence[AddedColumn]) -> None:
        """Write some rows."""

    @abstractmethod
    def finish(self) -> None:
        """Write what is left; the sink stays open."""


class LineWriter(TableWriter):
    """Writes lines of text.

    Args:
        sink: receives UTF-8.
        format: csv, tsv or jsonl.
        names: the columns of the table.
        added: the names of the added columns.
        begun: the sink already holds the line with the columns' names.
    """

    def __init__(
        self,
        sink: Sink,
        format: str,
        names: Sequence[str],
        added: Sequence[str],
        *,
        begun: bool = False,
    ) -> None:
        self._sink = sink
        self._format = format
        self._names = names
        if format != "jsonl" and not begun:
            self._sink.write(self._text([[*names, *added]]))

    def write(self, rows: Rows, added: Sequence[AddedColumn]) -> None:
        if self._format == "jsonl":
            lines = map(_extended, rows.objects(), zip(*(one.json() for one in added), strict=True))
            self._sink.write("".join(lines).encode())
            return
        more = zip(*(one.cells() for one in added), strict=True)
        cells = zip(rows.cells(self._names), more, strict=True)
        self._sink.write(self._text([*row, *new] for row, new in cells))

    def finish(self) -> None:
        self._sink.flush()

    def _text(self, rows: Iterator[list[str]] | Sequence[list[str]]) -> bytes:
        return (_tabbed(rows) if self._format == "tsv" else _quoted(rows)).encode()


def _quoted(rows: Iterator[list[str]] | Sequence[list[str]]) -> str:
    text = io.StringIO(newline="")
    plain = csv.writer(text, lineterminator="\n")
    # The csv module leaves a lone carriage return bare, and readers take it for a line's end.
    careful = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in rows:
        (careful if any("\r" in cell for cell in row) else plain).writerow(row)
    return text.getvalue()


def _tabbed(rows: Iterator[list[str]] | Sequence[list[str]]) -> str:
    lines = []
    for row in rows:
        line = "\t".join(row)
        if line.count("\t") != len(row) - 1 or "\n" in line or "\r" in line:
            raise Refused(
                "A text has a tab or a line break, which a tsv file cannot hold.",
                key="--output",
                value="tsv",
                rule="a format that can quote: csv, jsonl or parquet",
                way_out="--output NAME.csv",
            )
        lines.append(f"{line}\n")
    return "".join(lines)


def _extended(row: str, added: Sequence[str]) -> str:
    """Return a JSON object with further entries, and what it had left to the letter."""
    inside = row[:-1].rstrip()
    comma = "" if inside == "{" else ", "
    return f"{inside}{comma}{', '.join(added)}}}\n"


class ParquetWriter(TableWriter):
    """Writes a parquet file; it can be read only after `finish`.

    Args:
        path: the file.
        names: the columns of the table.
        types: the type of each added column's values.
    """

    def __init__(self, path: Path, names: Sequence[str], types: Mapping[str, type]) -> None:
        self._path = path
        self._names = names
        self._types = types
        self._waiting: list[pa.RecordBatch] = []
        self._file: object = None

    def write(self, rows: Rows, added: Sequence[AddedColumn]) -> None:
        batch = rows.batch(self._names)
        for column in added:
            batch = batch.append_column(column.name, column.arrow(self._types[column.name]))
        self._waiting.append(batch)
        if sum(one.num_rows for one in self._waiting) >= _GROUP_ROWS:
            self._write_group()

    def finish(self) -> None:
        self._write_group()
        if self._file is not None:
            self._file.close()  # type: ignore[attr-defined]

    def _write_group(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not self._waiting:
            return
        table = pa.Table.from_batches(self._waiting)
        if self._file is None:
            self._file = pq.ParquetWriter(self._path, table.schema)
        self._file.write_table(table)  # type: ignore[attr-defined]
        self._waiting = []
