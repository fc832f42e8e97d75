"""Files of labelled texts: found, read, and refused when they cannot be meant.

Everything a person can get wrong about a data set (path, columns, labels) is
caught here, before a row is drawn or a token is cut.
"""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from distill_runner import schema
from distill_runner.errors import Refused

if TYPE_CHECKING:
    from datasets import Dataset

Label = str | int

_BUILDERS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".jsonl": "json",
    ".json": "json",
}
_ENDINGS = ", ".join(_BUILDERS)
_FILE_SPLITS = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "dev": "validation",
    "test": "test",
}
_FILE_NAME = re.compile(
    r"(?P<split>train|validation|valid|dev|test)(-(?P<shard>\d{5})-of-(?P<shards>\d{5}))?"
)
_NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?")
_HIDDEN = -1  # what GLUE puts where a label is kept back
_BLOCK_CHARACTERS = 1 << 20
# What the JSON reader lets through when a file is JSON of another shape.
_JSON_ERRORS = (StopIteration, TypeError, AttributeError, KeyError)


@dataclass(frozen=True)
class Rows:
    """Labelled texts, one entry of each list per row; labels are class indices."""

    ids: list[str]
    texts: list[str]
    pairs: list[str] | None
    labels: list[int]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, positions: Sequence[int]) -> Rows:
        """The rows at `positions`, in that order."""
        return Rows(
            ids=[self.ids[i] for i in positions],
            texts=[self.texts[i] for i in positions],
            pairs=None if self.pairs is None else [self.pairs[i] for i in positions],
            labels=[self.labels[i] for i in positions],
        )


@dataclass(frozen=True)
class Source:
    """What the files hold: "train", and "validation" and "test" where they have labels."""

    files: dict[str, Rows]
    label_names: tuple[str, ...]
    hidden: int  # rows of files that were left aside because their labels are kept back


@dataclass(frozen=True)
class _Columns:
    """One file's columns as found; labels are not yet class indices."""

    file: str
    texts: list[list[str]]
    labels: list[Label]


def text_columns(settings: schema.Dataset) -> list[str]:
    """The one or two columns that hold the text."""
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


def locate(settings: schema.Dataset, source: Path) -> dict[str, tuple[Path, ...]]:
    """The files of each file split ("train", "validation", "test") under `source`."""
    if source.is_file():
        if source.suffix.lower() not in _BUILDERS:
            raise _bad_path(settings, source, f"'{source.name}' is of an unsupported kind.")
        return {"train": (source,)}
    if not source.is_dir():
        raise _bad_path(settings, source, f"There is no file or folder '{source}'.")
    files = _files_in(settings, source)
    if "train" in files:
        return files
    raise _bad_path(settings, source, f"The folder '{source}' has no training file.")


def _files_in(settings: schema.Dataset, folder: Path) -> dict[str, tuple[Path, ...]]:
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        match = _FILE_NAME.fullmatch(path.stem)
        if match and path.suffix.lower() in _BUILDERS and path.is_file():
            found.setdefault(_FILE_SPLITS[match["split"]], []).append(path)
    for split, paths in found.items():
        matches = [_FILE_NAME.fullmatch(path.stem) for path in paths]
        shards = {match["shards"] for match in matches if match}
        suffixes = {path.suffix for path in paths}
        expected = 1 if None in shards else int(max(shard for shard in shards if shard))
        if len(shards) > 1 or len(suffixes) > 1 or len(paths) != expected:
            names = ", ".join(path.name for path in paths)
            what = f"It is not clear which file holds the {split} rows: {names}."
            raise _bad_path(settings, folder, what)
    return {split: tuple(paths) for split, paths in found.items()}


def read(settings: schema.Dataset, files: dict[str, tuple[Path, ...]], *, cache: Path) -> Source:
    """Reads the files that `locate` found.

    Args:
        cache: a folder for the intermediate tables; not needed afterwards.

    Raises:
        Refused: a file, a column or a label is not what the settings say.
    """
    columns: dict[str, _Columns] = {}
    hidden = 0
    for split, paths in files.items():
        table = _load(settings, paths, cache)
        if split != "train" and _labels_are_hidden(settings, table):
            hidden += len(table)
        else:
            columns[split] = _columns(settings, table, split=split, file=paths[0].name)
    names, classes = _classes(settings, columns)
    _check_classes(settings, names, classes["train"])
    rows = {}
    for split, found in columns.items():
        ids = [f"{split}-{row}" for row in range(len(found.labels))]
        pairs = found.texts[1] if len(found.texts) == 2 else None
        rows[split] = Rows(ids=ids, texts=found.texts[0], pairs=pairs, labels=classes[split])
    return Source(files=rows, label_names=names, hidden=hidden)


def _load(settings: schema.Dataset, paths: tuple[Path, ...], cache: Path) -> Dataset:
    import datasets

    builder = _BUILDERS[paths[0].suffix.lower()]
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
        raise _unreadable(settings, paths[0], error) from error
    _check_columns(settings, table.column_names, paths[0])
    if not len(table):
        raise _bad_path(settings, paths[0], f"'{paths[0].name}' holds no rows.")
    return table


def _csv_options(settings: schema.Dataset, paths: tuple[Path, ...]) -> dict[str, object]:
    import datasets

    headers = [_header(settings, path) for path in paths]
    if any(header != headers[0] for header in headers):
        raise _bad_path(settings, paths[0], "The parts of the training file differ in columns.")
    _check_columns(settings, headers[0], paths[0])
    wanted = [*text_columns(settings), settings.label]
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


def _dialect(path: Path) -> tuple[str, Literal[0, 3]]:
    """Delimiter and quoting; GLUE's tab-separated files hold quotes that quote nothing."""
    if path.suffix.lower() == ".tsv":
        return "\t", csv.QUOTE_NONE
    return ",", csv.QUOTE_MINIMAL


def _may_lack_label(path: Path) -> bool:
    """Whether this is a test file; GLUE's own come without labels."""
    return path.stem.startswith("test")


def _check_text(settings: schema.Dataset, paths: tuple[Path, ...]) -> None:
    for path in paths:
        empty = True
        try:
            with path.open(encoding="utf-8-sig") as content:
                while block := content.read(_BLOCK_CHARACTERS):
                    empty = empty and not block.strip()
                    if "\0" in block:
                        raise _bad_path(settings, path, f"'{path.name}' is not text but binary.")
        except (UnicodeDecodeError, OSError) as error:
            raise _unreadable(settings, path, error) from error
        if empty:
            raise _bad_path(settings, path, f"'{path.name}' is empty.")


def _header(settings: schema.Dataset, path: Path) -> list[str]:
    delimiter, quoting = _dialect(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.reader(lines, delimiter=delimiter, quoting=quoting)
            header = next(reader, [])
            holds_rows = any(reader)
    except csv.Error as error:
        raise _unreadable(settings, path, error) from error
    if not holds_rows:
        raise _bad_path(settings, path, f"'{path.name}' holds no rows below its first line.")
    return header


def _check_columns(settings: schema.Dataset, found: list[str], path: Path) -> None:
    wanted = [(name, "dataset.text") for name in text_columns(settings)]
    if settings.label in found or not _may_lack_label(path):
        wanted.append((settings.label, "dataset.label"))
    for name, key in wanted:
        if found.count(name) != 1:
            times = "no column" if name not in found else "more than one column"
            raise Refused(
                f"'{path.name}' has {times} '{name}'.",
                key=key,
                value=settings.label if key == "dataset.label" else settings.text,
                rule="a column of the file",
                way_out="one of: " + ", ".join(repr(column[:60]) for column in found[:20]),
            )


def _labels_are_hidden(settings: schema.Dataset, table: Dataset) -> bool:
    if settings.label not in table.column_names:
        return True
    return set(table.unique(settings.label)) in ({_HIDDEN}, {str(_HIDDEN)})


def _columns(settings: schema.Dataset, table: Dataset, *, split: str, file: str) -> _Columns:
    texts = []
    for name in text_columns(settings):
        values = list(table[name])
        for row, value in enumerate(values):
            if not isinstance(value, str) or not value.strip():
                raise Refused(
                    f"'{file}' has a row without text: {split}-{row}, column '{name}'.",
                    key="dataset.text",
                    value=settings.text,
                    rule=f"text in every row; this one holds {value!r}",
                    way_out="name another column, or drop the row from the file",
                )
        texts.append(values)
    names = getattr(table.features[settings.label], "names", None)
    labels = [
        _label(settings, value, names, where=f"'{file}', row {split}-{row}")
        for row, value in enumerate(table[settings.label])
    ]
    # A delimited file has no types, so there a number is a number however it was read.
    if Path(file).suffix.lower() in (".csv", ".tsv"):
        labels = _untyped(settings, labels, file)
    return _Columns(file=file, texts=texts, labels=labels)


def _label(
    settings: schema.Dataset, value: object, names: list[str] | None, *, where: str
) -> Label:
    if value is None or (isinstance(value, str) and not value.strip()):
        raise _bad_label(settings, f"A label is empty: {where}.")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and names is not None and 0 <= value < len(names):
        # By name where the names are known to mean the same, so that an order asked for holds.
        asked = settings.label_names
        return names[value] if asked is None or set(asked) == set(names) else value
    if isinstance(value, str | int):
        return value if isinstance(value, str) else int(value)
    raise _bad_label(settings, f"A label is neither a whole number nor a name: {value!r}, {where}.")


def _untyped(settings: schema.Dataset, labels: list[Label], file: str) -> list[Label]:
    distinct = {str(label) for label in labels}
    if settings.label_names is not None and distinct <= set(settings.label_names):
        return labels
    if not all(_NUMBER.fullmatch(label) for label in distinct):
        return labels
    numbers = {label: float(label) for label in distinct}
    broken = sorted(label for label, number in numbers.items() if not number.is_integer())
    if broken:
        what = f"A label in '{file}' is neither a whole number nor a name: {broken[0]}."
        raise _bad_label(settings, what)
    return [int(numbers[str(label)]) for label in labels]


def _classes(
    settings: schema.Dataset, columns: dict[str, _Columns]
) -> tuple[tuple[str, ...], dict[str, list[int]]]:
    """The classes' names, and each file's labels as their indices."""
    distinct = {label for found in columns.values() for label in found.labels}
    numbers = {label for label in distinct if isinstance(label, int)}
    names = settings.label_names
    if names is None:
        if numbers and numbers != distinct:
            words = sorted(str(label) for label in distinct - numbers)
            raise _bad_label(settings, f"Some labels are numbers, some names ({words[0]!r}).")
        names = [str(n) for n in range(_count(settings, numbers))] if numbers else []
        names = names or sorted(str(label) for label in distinct)
    names = [str(name) for name in names]
    index: dict[Label, int] = {name: n for n, name in enumerate(names)}
    index |= dict(enumerate(range(len(names))))
    for found in columns.values():
        for row, label in enumerate(found.labels):
            if label not in index:
                raise Refused(
                    f"'{found.file}' holds a label outside the class names: {label!r} (row {row}).",
                    key="dataset.label_names",
                    value=settings.label_names,
                    rule="a name for every class; numbers count the classes from 0",
                    way_out=f"labels found: {sorted(map(str, distinct))[:20]}",
                )
    classes = {split: [index[label] for label in c.labels] for split, c in columns.items()}
    return tuple(names), classes


def _count(settings: schema.Dataset, numbers: set[int]) -> int:
    """How many classes the numbers 0, 1, … stand for."""
    largest = max(numbers)
    # A column of years or identifiers is not a column of classes.
    if largest >= 10 * max(len(numbers), 10):
        what = f"The labels are no class indices: {len(numbers)} values up to {largest}."
        raise _bad_label(settings, what)
    return largest + 1


def _check_classes(settings: schema.Dataset, names: tuple[str, ...], labels: list[int]) -> None:
    if len(set(names)) != len(names) or len(names) < 2:
        raise Refused(
            "The class names are not two or more different names.",
            key="dataset.label_names" if settings.label_names else "dataset.label",
            value=settings.label_names or settings.label,
            rule=f"at least two different classes; got {list(names)}",
            way_out="a label column with two classes, or dataset.label_names=[negative,positive]",
        )
    if len(set(labels)) < 2:
        what = f"All training rows carry the same label: '{names[labels[0]]}'."
        raise _bad_label(settings, what)
    if len(names) > max(20, len(labels) // 2):
        what = f"The labels are no classes: {len(names)} of them in {len(labels)} rows."
        raise _bad_label(settings, what)


def _bad_label(settings: schema.Dataset, what: str) -> Refused:
    return Refused(
        what,
        key="dataset.label",
        value=settings.label,
        rule="a column with a class name, or a number from 0, in every row; two classes or more",
        way_out="name the column that holds the classes, or mend the file",
    )


def _bad_path(settings: schema.Dataset, path: Path, what: str) -> Refused:
    return Refused(
        what,
        key="dataset.path" if settings.path is not None else "dataset.hub",
        value=str(path) if settings.path is not None else settings.hub,
        rule=f"a file, or a folder with train.* and, if any, validation.*, test.*; {_ENDINGS}",
        way_out=f"what is there: {_listing(path if path.is_dir() else path.parent)}",
    )


def _listing(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    return ", ".join(names[:12]) + (", …" if len(names) > 12 else "") if names else "nothing"


def _unreadable(settings: schema.Dataset, path: Path, error: BaseException) -> Refused:
    cause = error.__cause__ or error
    if isinstance(cause, UnicodeDecodeError):
        return _bad_path(settings, path, f"'{path.name}' is not text in UTF-8.")
    reason = " ".join(str(cause).split())[:200] or "it holds no records"
    return _bad_path(settings, path, f"'{path.name}' cannot be read: {reason}")
