"""Selects the columns to read from a file: texts, labels, groups."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from distill_runner.config import schema
from distill_runner.data.readers.label_reader import LabelReader
from distill_runner.errors import Refused, combine_refusals


def text_columns(settings: schema.Dataset) -> list[str]:
    """Return the one or two text columns.

    Raises:
        Refused: the settings name no column, more than two, or one column twice.
    """
    names = [settings.text] if isinstance(settings.text, str) else settings.text
    columns = list(names) if isinstance(names, Sequence) else []
    good = len(columns) in (1, 2) and all(isinstance(name, str) and name for name in columns)
    if not good or len(set(columns)) != len(columns):
        raise Refused(
            "The text columns are invalid.",
            key="dataset.text",
            value=settings.text,
            rule="a column's name, or a list of one or two different names",
            way_out="dataset.text=sentence, or dataset.text=[question,sentence]",
        )
    return columns


def wanted_columns(labels: LabelReader, found: Sequence[str]) -> list[str]:
    """Return the columns to read, of those found: texts first, then labels, then the group."""
    settings = labels.settings
    names = [*text_columns(settings), *labels.columns, settings.group]
    return list(dict.fromkeys(name for name in names if name and name in found))


def key_of_column(labels: LabelReader, name: str) -> str:
    """Return the setting that names the column."""
    if name in text_columns(labels.settings):
        return "dataset.text"
    return "dataset.label" if name in labels.columns else "dataset.group"


def check_present(labels: LabelReader, found: list[str], path: Path) -> None:
    """Refuse a file without a configured column."""
    if refusals := column_faults(labels, found, path):
        raise combine_refusals(refusals)


def column_faults(labels: LabelReader, found: list[str], path: Path) -> list[Refused]:
    """Return a refusal for each configured column that is missing or repeated in the file."""
    settings = labels.settings
    wanted = [(name, "dataset.text") for name in text_columns(settings)]
    # Rows that are read without labels need no label column.
    if set(labels.columns) & set(found) or not _may_lack_label(path):
        wanted += [(name, "dataset.label") for name in labels.columns]
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
    """Return whether this is a test file, which in GLUE has no labels."""
    return path.stem.startswith("test")
