"""Files read into tables, as they are written; labels are not looked at yet."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from distill_runner import schema
from distill_runner.data.files import BUILDERS, bad_path, unreadable
from distill_runner.errors import Refused

if TYPE_CHECKING:
    from datasets import Dataset

_BLOCK_CHARACTERS = 1 << 20
# What the JSON reader lets through when a file is JSON of another shape.
_JSON_ERRORS = (StopIteration, TypeError, AttributeError, KeyError)


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
    """The rows of one file, or of its shards one after another.

    Args:
        cache: a folder for the intermediate tables; the rows are read from there.

    Raises:
        Refused: the file cannot be read, holds no rows or lacks a column.
    """
    import datasets

    builder = BUILDERS[paths[0].suffix.lower()]
    if builder != "parquet":
        _check_text(settings, paths)
    options = _csv_options(settings, paths) if builder == "csv" else {}
    try:
        with quiet(), warnings.catch_warnings():
            # pandas only warns where it cuts off a field too many.
            warnings.filterwarnings("error", message="Length of header or names")
            # Not load_dataset: that reports each use of a file reader to a server.
            read_files = getattr(datasets.Dataset, f"from_{builder}")
            names = [str(path) for path in paths]
            table = read_files(names, cache_dir=str(cache), **options)
    except (datasets.exceptions.DatasetsError, ValueError, OSError, *_JSON_ERRORS) as error:
        raise unreadable(settings, paths[0], error) from error
    _check_columns(settings, table.column_names, paths[0])
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


def _csv_options(settings: schema.Dataset, paths: tuple[Path, ...]) -> dict[str, object]:
    import datasets

    headers = [_header(settings, path) for path in paths]
    if any(header != headers[0] for header in headers):
        raise bad_path(settings, paths[0], "The parts of the training file differ in columns.")
    _check_columns(settings, headers[0], paths[0])
    wanted = [*text_columns(settings), settings.label, settings.group]
    names = [name if name in wanted else f"{n} (unused)" for n, name in enumerate(headers[0])]
    delimiter, quoting = _dialect(paths[0])
    return {
        "names": names,
        "header": 0,
        "index_col": False,
        # Read as strings: a type guessed per chunk would turn a text "007" into a number.
        "features": datasets.Features({name: datasets.Value("string") for name in names}),
        "delimiter": delimiter,
        "quoting": quoting,
        "keep_default_na": False,
    }


def _dialect(path: Path) -> tuple[str, Literal[0, 3]]:
    """Delimiter and quoting; GLUE's tab-separated files hold quotes that quote nothing."""
    if path.suffix.lower() == ".tsv":
        return "\t", csv.QUOTE_NONE
    return ",", csv.QUOTE_MINIMAL


def _check_text(settings: schema.Dataset, paths: tuple[Path, ...]) -> None:
    for path in paths:
        empty = True
        try:
            with path.open(encoding="utf-8-sig") as content:
                while block := content.read(_BLOCK_CHARACTERS):
                    empty = empty and not block.strip()
                    if "\0" in block:
                        raise bad_path(settings, path, f"'{path.name}' is not text but binary.")
        except (UnicodeDecodeError, OSError) as error:
            raise unreadable(settings, path, error) from error
        if empty:
            raise bad_path(settings, path, f"'{path.name}' is empty.")


def _header(settings: schema.Dataset, path: Path) -> list[str]:
    delimiter, quoting = _dialect(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.reader(lines, delimiter=delimiter, quoting=quoting)
            header = next(reader, [])
            holds_rows = any(reader)
    except csv.Error as error:
        raise unreadable(settings, path, error) from error
    if not holds_rows:
        raise bad_path(settings, path, f"'{path.name}' holds no rows below its first line.")
    return header


def _check_columns(settings: schema.Dataset, found: list[str], path: Path) -> None:
    wanted = [(name, "dataset.text") for name in text_columns(settings)]
    # Rows that are read without labels have no column of them.
    if settings.label and (settings.label in found or not _may_lack_label(path)):
        wanted.append((settings.label, "dataset.label"))
    if settings.group is not None:
        wanted.append((settings.group, "dataset.group"))
    for name, key in wanted:
        if found.count(name) != 1:
            times = "no column" if name not in found else "more than one column"
            raise Refused(
                f"'{path.name}' has {times} '{name}'.",
                key=key,
                value=settings.text if key == "dataset.text" else name,
                rule="a column of the file",
                way_out="one of: " + ", ".join(repr(column[:60]) for column in found[:20]),
            )


def _may_lack_label(path: Path) -> bool:
    """Whether this is a test file; GLUE's own come without labels."""
    return path.stem.startswith("test")
