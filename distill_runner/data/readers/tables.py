"""Files read into tables, as they are written; labels are not looked at yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill_runner.config import schema
from distill_runner.data.readers import delimited
from distill_runner.data.readers.files import bad_path, unreadable
from distill_runner.data.readers.json_records import records
from distill_runner.errors import Refused, together

if TYPE_CHECKING:
    from datasets import Dataset

_BLOCK_CHARACTERS = 1 << 20
_BATCH_ROWS = 1000
_KINDS = {str: "names", bool: "true or false", int: "numbers", float: "numbers"}

Cell = str | int | float | None


def text_columns(settings: schema.Dataset) -> list[str]:
    """The one or two columns that hold the text.

    Raises:
        Refused: the settings name none, more than two, or one twice.
    """
    names = [settings.text] if isinstance(settings.text, str) else settings.text
    columns = list(names) if isinstance(names, Sequence) else []
    good = len(columns) in (1, 2) and all(isinstance(name, str) and name for name in columns)
    if not good or len(set(columns)) != len(columns):
        raise Refused(
            "The text columns are not named properly.",
            key="dataset.text",
            value=settings.text,
            rule="a column's name, or a list of one or two different names",
            way_out="dataset.text=sentence, or dataset.text=[question,sentence]",
        )
    return columns


def load(settings: schema.Dataset, paths: tuple[Path, ...], *, cache: Path) -> Dataset:
    """The rows of one file, or of its shards one after another; the columns asked for alone.

    Args:
        cache: a folder for the intermediate tables; the rows are read from there.

    Raises:
        Refused: the file cannot be read, holds no rows or lacks a column.
    """
    cache.mkdir(parents=True, exist_ok=True)
    kind = paths[0].suffix.lower()
    if kind == ".parquet":
        table = _parquet(settings, paths, cache)
    else:
        _check_text(settings, paths)
        read = _delimited if kind in (".csv", ".tsv") else _objects
        table = _written(settings, paths[0], *read(settings, paths), cache=cache)
    if not len(table):
        raise bad_path(settings, paths[0], f"'{paths[0].name}' holds no rows.")
    return table


@contextmanager
def quiet() -> Iterator[None]:
    """No bars, and no log lines beside the one message that a failure gets."""
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


def _wanted(settings: schema.Dataset, found: Sequence[str]) -> list[str]:
    """The columns to read of those that are there: labels and groups last."""
    names = [*text_columns(settings), settings.label, settings.group]
    return list(dict.fromkeys(name for name in names if name and name in found))


def _delimited(
    settings: schema.Dataset, paths: tuple[Path, ...]
) -> tuple[list[str], Iterator[Sequence[Cell]]]:
    headers = [delimited.header(settings, path) for path in paths]
    if any(header != headers[0] for header in headers):
        raise bad_path(settings, paths[0], "The parts of the training file differ in columns.")
    _check_columns(settings, headers[0], paths[0])
    names = _wanted(settings, headers[0])
    return names, (row for path in paths for row in delimited.rows(settings, path, names))


def _objects(
    settings: schema.Dataset, paths: tuple[Path, ...]
) -> tuple[list[str], Iterator[Sequence[Cell]]]:
    found = dict.fromkeys(
        name for path in paths for record in records(settings, path) for name in record.cells
    )
    _check_columns(settings, list(found), paths[0])
    names = _wanted(settings, list(found))

    def rows() -> Iterator[Sequence[Cell]]:
        for path in paths:
            for record in records(settings, path):
                where = f"'{path.name}', {record.where}"
                yield [_cell(settings, name, record.cells.get(name), where) for name in names]

    return names, rows()


def _cell(settings: schema.Dataset, name: str, value: object, where: str) -> Cell:
    """A JSON value as the column takes it: text in text columns, no lists or objects in others."""
    key = _key_of(settings, name)
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise _bad_cell(key, name, value, f"{where}: half a character.") from None
        return value
    if value is None or (isinstance(value, int | float) and key != "dataset.text"):
        # A number in a group is its name, whatever its type in other rows.
        return value if value is None or key == "dataset.label" else str(value)
    raise _bad_cell(key, name, value, f"{where}: column '{name}' holds no {key[8:]}.")


def _bad_cell(key: str, name: str, value: object, what: str) -> Refused:
    rule = "text in every row" if key == "dataset.text" else "a name or a number in every row"
    found = f"{rule}; this one holds {repr(value)[:60]}"
    return Refused(what, key=key, value=name, rule=found, way_out="name another column")


def _key_of(settings: schema.Dataset, name: str) -> str:
    if name in text_columns(settings):
        return "dataset.text"
    return "dataset.label" if name == settings.label else "dataset.group"


def _written(
    settings: schema.Dataset,
    path: Path,
    names: list[str],
    rows: Iterator[Sequence[Cell]],
    *,
    cache: Path,
) -> Dataset:
    """The rows as a table on disk; labels, whose type shows at the end, in memory beside it."""
    import pyarrow as pa
    from datasets import Dataset

    labels: list[Cell] = []
    at = names.index(settings.label) if settings.label in names else None
    schema_ = pa.schema([(name, pa.string()) for n, name in enumerate(names) if n != at])
    file = cache / f"{path.name}.arrow"
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, schema_) as stream:
        while batch := list(islice(rows, _BATCH_ROWS)):
            columns = list(zip(*batch, strict=True))
            if at is not None:
                labels += columns.pop(at)
            arrays = [pa.array(column, pa.string()) for column in columns]
            stream.write_batch(pa.record_batch(arrays, schema=schema_))
    table = Dataset.from_file(str(file))
    if at is None or not labels:
        return table
    found = _label_column(settings, path, labels)
    return Dataset(table.data.append_column(settings.label, found))


def _label_column(settings: schema.Dataset, path: Path, labels: list[Cell]) -> Any:
    """The labels as a column of one type.

    Raises:
        Refused: some are of one kind, some of another, or a number is too large for any.
    """
    import pyarrow as pa

    first: dict[str, Cell] = {}
    for label in labels:
        if label is not None:
            first.setdefault(_KINDS[type(label)], label)
    if len(first) < 2:
        with suppress(pa.ArrowInvalid, OverflowError):
            return pa.chunked_array([pa.array(labels)])
    some = ", some ".join(f"{kind} ({repr(label)[:40]})" for kind, label in first.items())
    what = f"'{path.name}': some labels are {some}."
    if len(first) < 2:
        what = f"'{path.name}': a label is too large a number."
    raise Refused(
        what,
        key="dataset.label",
        value=settings.label,
        rule="labels of one kind: names, numbers, or true and false",
        way_out="write the labels alike in every row",
    )


def _parquet(settings: schema.Dataset, paths: tuple[Path, ...], cache: Path) -> Dataset:
    from datasets import Dataset

    try:
        with quiet():
            _check_columns(settings, _parquet_columns(paths[0]), paths[0])
            wanted = _wanted(settings, _parquet_columns(paths[0]))
            # Not load_dataset: that reports each use of a file reader to a server.
            table = Dataset.from_parquet(
                [str(path) for path in paths], cache_dir=str(cache), columns=wanted
            )
            table.data.validate(full=True)
    except Refused:
        raise
    except Exception as error:  # a parser of files that anybody wrote raises what it raises
        raise unreadable(settings, paths[0], error) from error
    for name in wanted:
        _check_type(settings, paths[0], name, table.features[name])
    return table


def _parquet_columns(path: Path) -> list[str]:
    import pyarrow.parquet as pq

    found: list[str] = pq.read_schema(path).names
    return found


def _check_type(settings: schema.Dataset, path: Path, name: str, feature: object) -> None:
    import datasets

    key = _key_of(settings, name)
    kind = feature.dtype if isinstance(feature, datasets.Value) else ""
    text = kind in ("string", "large_string", "null")
    number = kind.startswith(("int", "uint", "float", "bool"))
    named = isinstance(feature, datasets.ClassLabel)
    if not text and (key == "dataset.text" or not (number or named)):
        raise Refused(
            f"'{path.name}': column '{name}' is of type {str(feature)[:60]}.",
            key=key,
            value=name,
            rule="text" if key == "dataset.text" else "names or numbers",
            way_out="name another column, or save it as text",
        )


def check_columns(settings: schema.Dataset, paths: tuple[Path, ...]) -> None:
    """Refuse a file that lacks columns, by what stands at its beginning.

    Raises:
        Refused: it cannot be read, or it lacks a column; all those that it lacks are named.
    """
    path = paths[0]
    if path.suffix.lower() == ".parquet":
        try:
            found = _parquet_columns(path)
        except Exception as error:  # a parser of files that anybody wrote raises what it raises
            raise unreadable(settings, path, error) from error
    else:
        _check_text(settings, (path,), blocks=1)
        written = path.suffix.lower() in (".csv", ".tsv")
        found = delimited.header(settings, path) if written else _keys(settings, path)
    if refusals := _column_faults(settings, found, path):
        raise together(refusals)


def _keys(settings: schema.Dataset, path: Path) -> list[str]:
    """The keys of a file's objects, as far as they must be read for the columns asked for."""
    wanted = {*text_columns(settings), settings.label, settings.group} - {"", None}
    found: dict[str, None] = {}
    for record in records(settings, path):
        found |= dict.fromkeys(record.cells)
        if wanted <= found.keys():
            break
    return list(found)


def _check_text(
    settings: schema.Dataset, paths: tuple[Path, ...], *, blocks: int | None = None
) -> None:
    """Refuse what is no text, or is empty; `blocks`: by so much of its beginning."""
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


def _check_columns(settings: schema.Dataset, found: list[str], path: Path) -> None:
    if refusals := _column_faults(settings, found, path):
        raise together(refusals)


def _column_faults(settings: schema.Dataset, found: list[str], path: Path) -> list[Refused]:
    """A refusal for each column that is asked for and that the file has not, or has twice."""
    wanted = [(name, "dataset.text") for name in text_columns(settings)]
    # Rows that are read without labels have no column of them.
    if settings.label and (settings.label in found or not _may_lack_label(path)):
        wanted.append((settings.label, "dataset.label"))
    if settings.group is not None:
        wanted.append((settings.group, "dataset.group"))
    return [
        Refused(
            f"'{path.name}' has {'no' if name not in found else 'more than one'} column '{name}'.",
            key=key,
            value=settings.text if key == "dataset.text" else name,
            rule="a column of the file",
            way_out="one of: " + ", ".join(repr(column[:60]) for column in found[:20]),
        )
        for name, key in wanted
        if found.count(name) != 1
    ]


def _may_lack_label(path: Path) -> bool:
    """Whether this is a test file; GLUE's own come without labels."""
    return path.stem.startswith("test")
