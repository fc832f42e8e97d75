"""Reads files into tables, without interpreting labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill_runner.config import schema
from distill_runner.data.readers import delimited
from distill_runner.data.readers.columns import (
    check_present,
    column_faults,
    key_of_column,
    text_columns,
    wanted_columns,
)
from distill_runner.data.readers.files import bad_path, unreadable
from distill_runner.data.readers.json_records import records
from distill_runner.data.readers.label_reader import LabelReader
from distill_runner.errors import Refused, combine_refusals

if TYPE_CHECKING:
    from datasets import Dataset

_BLOCK_CHARACTERS = 1 << 20
_BATCH_ROWS = 1000

Cell = str | int | float | None


def load(labels: LabelReader, paths: tuple[Path, ...], *, cache: Path) -> Dataset:
    """Read the configured columns of one file, or of its shards in order.

    Args:
        labels: the reader of the data set's labels.
        paths: the file, or its shards.
        cache: a folder for intermediate tables, from which the result is memory-mapped.

    Raises:
        Refused: the file cannot be read, has no rows or lacks a column.
    """
    settings = labels.settings
    cache.mkdir(parents=True, exist_ok=True)
    kind = paths[0].suffix.lower()
    if kind == ".parquet":
        table = _parquet(labels, paths, cache)
    else:
        _check_text(settings, paths)
        read = _delimited if kind in (".csv", ".tsv") else _objects
        table = _written(labels, paths[0], *read(labels, paths), cache=cache)
    if not len(table):
        raise bad_path(settings, paths[0], f"'{paths[0].name}' has no rows.")
    return table


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the progress bars and the log of `datasets`."""
    import datasets
    from datasets.utils import logging

    bars, verbosity = not datasets.are_progress_bars_disabled(), logging.get_verbosity()
    datasets.disable_progress_bars()
    logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            datasets.enable_progress_bars()


def _delimited(
    labels: LabelReader, paths: tuple[Path, ...]
) -> tuple[list[str], Iterator[Sequence[Cell]]]:
    settings = labels.settings
    headers = [delimited.header(settings, path) for path in paths]
    if any(header != headers[0] for header in headers):
        raise bad_path(settings, paths[0], "The parts of the training file differ in columns.")
    check_present(labels, headers[0], paths[0])
    names = wanted_columns(labels, headers[0])
    return names, (row for path in paths for row in delimited.rows(labels, path, names))


def _objects(
    labels: LabelReader, paths: tuple[Path, ...]
) -> tuple[list[str], Iterator[Sequence[Cell]]]:
    settings = labels.settings
    found = dict.fromkeys(
        name for path in paths for record in records(settings, path) for name in record.cells
    )
    check_present(labels, list(found), paths[0])
    names = wanted_columns(labels, list(found))

    def rows() -> Iterator[Sequence[Cell]]:
        for path in paths:
            for record in records(settings, path):
                where = f"'{path.name}', {record.where}"
                yield [_cell(labels, name, record.cells.get(name), where) for name in names]

    return names, rows()


def _cell(labels: LabelReader, name: str, value: object, where: str) -> Any:
    """Return a JSON value in its column's type; groups become names, whatever their type."""
    key = key_of_column(labels, name)
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            what = f"{where}: a lone surrogate, not a character."
            raise _bad_cell(labels, name, value, what) from None
        return value
    if value is None or (key == "dataset.label" and labels.takes_value(value)):
        return value
    if isinstance(value, int | float) and key == "dataset.group":
        return str(value)
    raise _bad_cell(labels, name, value, f"{where}: column '{name}' does not hold a {key[8:]}.")


def _bad_cell(labels: LabelReader, name: str, value: object, what: str) -> Refused:
    key = key_of_column(labels, name)
    rule = f"{_cell_rule(labels, key)} in every row; this one holds {repr(value)[:60]}"
    return Refused(what, key=key, value=name, rule=rule, way_out="name another column")


def _cell_rule(labels: LabelReader, key: str) -> str:
    if key == "dataset.label":
        return labels.cell_rule
    return "text" if key == "dataset.text" else "a name or a number"


def _written(
    reader: LabelReader,
    path: Path,
    names: list[str],
    rows: Iterator[Sequence[Cell]],
    *,
    cache: Path,
) -> Dataset:
    """Write the rows to a table on disk; labels stay in memory until their type is known."""
    import pyarrow as pa
    from datasets import Dataset

    # Text columns go to disk, label columns into `labels`.
    labels: dict[str, list[Cell]] = {name: [] for name in names if name in reader.columns}
    schema_ = pa.schema([(name, pa.string()) for name in names if name not in labels])
    file = cache / f"{path.name}.arrow"
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, schema_) as stream:
        while batch := list(islice(rows, _BATCH_ROWS)):
            columns = dict(zip(names, zip(*batch, strict=True), strict=True))
            for name, cells in labels.items():
                cells += columns.pop(name)
            arrays = [pa.array(column, pa.string()) for column in columns.values()]
            stream.write_batch(pa.record_batch(arrays, schema=schema_))
    table = Dataset.from_file(str(file))
    for name, cells in labels.items():
        if cells:
            table = Dataset(table.data.append_column(name, reader.column(path, cells)))
    return table


def _parquet(labels: LabelReader, paths: tuple[Path, ...], cache: Path) -> Dataset:
    from datasets import Dataset

    settings = labels.settings
    try:
        with quiet():
            check_present(labels, _parquet_columns(paths[0]), paths[0])
            wanted = wanted_columns(labels, _parquet_columns(paths[0]))
            # load_dataset would report each use of a file reader to a server.
            table = Dataset.from_parquet(
                [str(path) for path in paths], cache_dir=str(cache), columns=wanted
            )
            table.data.validate(full=True)
    except Refused:
        raise
    except Exception as error:  # parsers raise errors of any type for malformed files
        raise unreadable(settings, paths[0], error) from error
    for name in wanted:
        _check_type(labels, paths[0], name, table.features[name])
    return table


def _parquet_columns(path: Path) -> list[str]:
    import pyarrow.parquet as pq

    found: list[str] = pq.read_schema(path).names
    return found


def _check_type(labels: LabelReader, path: Path, name: str, feature: object) -> None:
    import datasets

    key = key_of_column(labels, name)
    kind = feature.dtype if isinstance(feature, datasets.Value) else ""
    text = kind in ("string", "large_string", "null")
    number = kind.startswith(("int", "uint", "float", "bool"))
    named = isinstance(feature, datasets.ClassLabel)
    good = {
        "dataset.text": text,
        "dataset.label": labels.takes_feature(feature),
        "dataset.group": text or number or named,
    }
    if not good[key]:
        raise Refused(
            f"'{path.name}': column '{name}' is of type {str(feature)[:60]}.",
            key=key,
            value=name,
            rule=f"{_cell_rule(labels, key)} in every row",
            way_out="name another column, or save it as text",
        )


def check_columns(labels: LabelReader, paths: tuple[Path, ...]) -> None:
    """Refuse a file without a configured column, after reading only its beginning.

    Raises:
        Refused: the file cannot be read, or lacks columns; the message names all of them.
    """
    settings, path = labels.settings, paths[0]
    if path.suffix.lower() == ".parquet":
        try:
            found = _parquet_columns(path)
        except Exception as error:  # parsers raise errors of any type for malformed files
            raise unreadable(settings, path, error) from error
    else:
        _check_text(settings, (path,), blocks=1)
        written = path.suffix.lower() in (".csv", ".tsv")
        found = delimited.header(settings, path) if written else _keys(labels, path)
    if refusals := column_faults(labels, found, path):
        raise combine_refusals(refusals)


def _keys(labels: LabelReader, path: Path) -> list[str]:
    """Return the keys of a file's objects; reading stops once all configured columns are found."""
    settings = labels.settings
    wanted = {*text_columns(settings), *labels.columns, settings.group} - {None}
    found: dict[str, None] = {}
    for record in records(settings, path):
        found |= dict.fromkeys(record.cells)
        if wanted <= found.keys():
            break
    return list(found)


def _check_text(
    settings: schema.Dataset, paths: tuple[Path, ...], *, blocks: int | None = None
) -> None:
    """Refuse binary and empty files; `blocks` limits how much is read."""
    for path in paths:
        empty = True
        try:
            with path.open(encoding="utf-8-sig") as content:
                read = iter(lambda: content.read(_BLOCK_CHARACTERS), "")
                for block in islice(read, blocks):
                    empty = empty and not block.strip()
                    if "\0" in block:
                        raise bad_path(settings, path, f"'{path.name}' is not text but binary.")
        except (UnicodeDecodeError, OSError) as error:
            raise unreadable(settings, path, error) from error
        if empty:
            raise bad_path(settings, path, f"'{path.name}' is empty.")
