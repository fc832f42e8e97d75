"""Reads a table of any size in chunks of rows: csv, tsv, jsonl, parquet, or standard input."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from distill_runner.config import schema
from distill_runner.data.readers import delimited
from distill_runner.data.readers.json_records import Record, records
from distill_runner.errors import Refused
from distill_runner.serving.table_rows import ArrowRows, CellRows, ObjectRows, Rows

STDIN = "-"
FORMATS = ("csv", "tsv", "jsonl", "parquet")
CHUNK = 2048  # rows
_ENDINGS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
}
_PIPE = Path("/dev/stdin")
_BLOCK_BYTES = 1 << 20
_HEADING = "a first line with the names of the columns, and rows below it"
_RULE = "a csv, tsv, jsonl or parquet file with rows, in UTF-8"


@dataclass(frozen=True)
class Source:
    """A file of rows, or standard input.

    Args:
        path: the file.
        format: one of `FORMATS`.
        is_pipe: whether it can be read only once.
    """

    path: Path
    format: str
    is_pipe: bool

    @property
    def name(self) -> str:
        """The name to show."""
        return "standard input" if self.is_pipe else self.path.name


@dataclass(frozen=True)
class Survey:
    """What one pass over a file found.

    Args:
        names: the columns; of a JSON file, every key that occurs.
        rows: number of rows.
        sha256: of the file.
    """

    names: tuple[str, ...]
    rows: int
    sha256: str


def open_source(typed: str, *, format: str | None = None) -> Source:
    """Return the source that FILE names.

    Args:
        typed: a file, or `-` for standard input.
        format: one of `FORMATS`; None: by the file's name, and csv for standard input.

    Raises:
        Refused: there is no such file, or its format is unknown.
    """
    if format is not None and format not in FORMATS:
        raise _refused(
            "There is no such format.", format, ", ".join(FORMATS), "--format csv", "--format"
        )
    if typed == STDIN:
        if format == "parquet":
            what = "A parquet file cannot be read from standard input."
            raise _refused(what, format, "csv, tsv or jsonl", "name the file", "--format")
        return Source(_PIPE, format or "csv", is_pipe=True)
    path = Path(typed)
    if not path.is_file():
        kind = "is a folder" if path.is_dir() else "does not exist"
        raise _refused(f"'{typed}' {kind}.", typed, _RULE, None)
    return Source(path, format or format_of(path, key="FILE"), is_pipe=False)


def format_of(path: Path, *, key: str = "--output") -> str:
    """Return the format that a file's name says.

    Raises:
        Refused: it says none.
    """
    if found := _ENDINGS.get(path.suffix.lower()):
        return found
    what = f"The format of '{path.name}' is not known from its name."
    way_out = "--format csv" if key == "FILE" else "--output NAME.csv"
    raise _refused(what, str(path), f"a name that ends in {', '.join(_ENDINGS)}", way_out, key)


def survey(source: Source, texts: Sequence[str]) -> Survey:
    """Read a whole file once: its columns, its number of rows, and its digest.

    Args:
        texts: columns that must be there, and hold texts.

    Raises:
        Refused: the file is malformed, binary, has no rows or lacks a column.
    """
    digest = _digest(source)
    names: dict[str, None] = {}
    count = 0
    for rows in read_chunks(source):
        names |= dict.fromkeys(rows.columns)
        count += len(rows)
        for name in texts:
            if name in rows.columns:
                rows.texts(name)
    if not count:
        raise _refused(f"'{source.name}' has no rows.", str(source.path), _RULE, _HEADING)
    check_columns(source, texts, tuple(names))
    return Survey(tuple(names), count, digest)


def column_names(source: Source) -> tuple[str, ...]:
    """Return the columns of a file's first rows.

    Raises:
        Refused: the file is malformed.
    """
    first = next(read_chunks(source), None)
    return () if first is None else first.columns


def check_columns(
    source: Source, wanted: Sequence[str], found: Sequence[str], *, key: str = "--text"
) -> None:
    """Refuse a file without a column.

    Args:
        key: the option that names the columns.

    Raises:
        Refused: one of those wanted is not among those found.
    """
    if missing := [name for name in wanted if name not in found]:
        shown = ", ".join(repr(one[:40]) for one in found[:20])
        what = f"{source.name} has no column {missing[0][:60]!r}."
        raise _refused(what, missing[0], "a column of the file", f"{key} with one of: {shown}", key)


def read_chunks(source: Source, *, skip: int = 0) -> Iterator[Rows]:
    """Yield the rows in order, `CHUNK` at a time.

    Args:
        skip: number of rows at the start to leave out.

    Raises:
        Refused: the file is malformed; the message names the line.
    """
    readers = {"jsonl": _object_chunks, "parquet": _arrow_chunks}
    with _about(source):
        for rows in readers.get(source.format, _cell_chunks)(source):
            if skip < len(rows):
                yield rows.after(skip) if skip else rows
            skip = max(0, skip - len(rows))


def _cell_chunks(source: Source) -> Iterator[Rows]:
    settings = _settings(source)
    names, found = delimited.open_rows(settings, source.path, tabs=source.format == "tsv")
    if twice := next((name for name in names if names.count(name) > 1), None):
        what = f"The column {twice[:60]!r} occurs twice in '{source.name}'."
        raise _refused(what, str(source.path), "columns with different names", "rename one")
    while chunk := list(islice(found, CHUNK)):
        yield CellRows(tuple(names), chunk)


def _object_chunks(source: Source) -> Iterator[Rows]:
    found = records(_settings(source), source.path)
    while chunk := list(islice(found, CHUNK)):
        yield ObjectRows(*_columns_of(chunk))


def _columns_of(
    chunk: Iterable[Record],
) -> tuple[list[dict[str, object]], list[str], list[str]]:
    objects, raw, places = [], [], []
    for record in chunk:
        objects.append(record.cells)
        raw.append(record.raw)
        places.append(record.where)
    return objects, raw, places


def _arrow_chunks(source: Source) -> Iterator[Rows]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(source.path) as file:
            for batch in file.iter_batches(batch_size=CHUNK):
                yield ArrowRows(batch)
    except (pa.ArrowException, OSError) as error:
        what = f"'{source.name}' cannot be read: {' '.join(str(error).split())[:200]}"
        raise _refused(what, str(source.path), _RULE, None) from error


def first_chunk(chunks: Iterator[Rows]) -> tuple[tuple[str, ...], Iterator[Rows]]:
    """Return the columns of the first chunk, and all chunks.

    Raises:
        Refused: there are no rows.
    """
    first = next(chunks, None)
    if first is None:
        raise _refused("Standard input has no rows.", STDIN, _RULE, _HEADING)
    return first.columns, chain([first], chunks)


def _digest(source: Source) -> str:
    """Return the sha256 of the file.

    Raises:
        Refused: the file cannot be read, or should be text and is not.
    """
    digest = hashlib.sha256()
    try:
        with source.path.open("rb") as content:
            while block := content.read(_BLOCK_BYTES):
                digest.update(block)
                if source.format != "parquet" and b"\0" in block:
                    what = f"'{source.name}' is not text but binary."
                    raise _refused(what, str(source.path), _RULE, None)
    except OSError as error:
        what = f"'{source.name}' cannot be read: {error.strerror}."
        raise _refused(what, str(source.path), _RULE, None) from error
    return digest.hexdigest()


def _settings(source: Source) -> schema.Dataset:
    return schema.Dataset(name="file", path=str(source.path))


@contextmanager
def _about(source: Source) -> Iterator[None]:
    """Let refusals of the data set's readers speak of FILE instead of a setting."""
    try:
        yield
    except Refused as refused:
        if refused.key != "dataset.path":
            raise
        # A listing of the folder's data files helps a data set, not a command with one file.
        of_file = "train.*" in (refused.rule or "")
        raise _refused(
            refused.what.replace(f"'{_PIPE.name}'", "standard input")
            if source.is_pipe
            else refused.what,
            STDIN if source.is_pipe else str(source.path),
            _RULE if of_file else refused.rule or _RULE,
            None if of_file else refused.way_out,
        ) from refused


def _refused(what: str, value: str, rule: str, way_out: str | None, key: str = "FILE") -> Refused:
    return Refused(what, key=key, value=value, rule=rule, way_out=way_out)
