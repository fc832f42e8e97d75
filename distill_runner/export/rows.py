"""Reads a finished run's own rows again: those that an export is checked on, and its texts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from distill_runner.config.compose import to_dataclasses
from distill_runner.config.schema import Config, Dataset
from distill_runner.data.inputs import source_of
from distill_runner.data.load import Prepared, prepare
from distill_runner.data.readers.class_labels import ClassLabels
from distill_runner.data.readers.tables import load
from distill_runner.data.unlabelled import Sources, add_unlabelled
from distill_runner.errors import DistillError, Refused
from distill_runner.planning.stages import UNLABELLED
from distill_runner.serving.finished_run import RunFolder
from distill_runner.serving.texts import Text
from distill_runner.storage.integrity import Say
from distill_runner.tasks.base import Task
from distill_runner.tasks.kinds import task_of

if TYPE_CHECKING:
    import datasets

_HERE = "type it in the folder where the run was started, with its data where they were"
_LEARNT = ("train", UNLABELLED)
_FORMATS = (".csv", ".tsv", ".jsonl", ".json", ".parquet")


@dataclass(frozen=True)
class CheckRows:
    """Labelled rows that exported files are compared on.

    Attributes:
        task: the run's task, with its metrics.
        texts: of the rows, single or pairs.
        labels: as the task uses them.
        clusters: [rows], the number of each row's cluster.
    """

    task: Task
    texts: tuple[Text, ...]
    labels: np.ndarray
    clusters: np.ndarray


def read_prepared(run: RunFolder, *, say: Say) -> tuple[Task, Prepared]:
    """Read the run's data set again, split as the run split it.

    Raises:
        Refused: the data are not where they were, or have changed since.
    """
    config, known = _config(run.folder), run.result.data.fingerprints
    settings, unlabelled = config.dataset, config.dataset.unlabelled
    try:
        source = source_of(settings, config)
        prepared = prepare(settings, source=source, store_dir=run.store, say=say)
        if UNLABELLED in known:
            # A run whose settings name no such texts drew them from the rows left over.
            rest = unlabelled.rest or not unlabelled.in_files
            sources = Sources(source_of(unlabelled, config), rest=rest)
            prepared = add_unlabelled(
                prepared, settings, sources=sources, store_dir=run.store, say=say
            )
    except Refused as refused:
        raise _refused(run, f"The run's rows cannot be read again: {refused.what}") from refused
    for split in (*_LEARNT, "validation"):
        if known.get(split) != prepared.fingerprints.get(split):
            raise _refused(run, f"The run's {split} rows are no longer what they were.")
    return task_of(config.dataset), prepared


def check_rows_of(run: RunFolder, task: Task, prepared: Prepared) -> CheckRows:
    """Return the run's validation rows.

    Raises:
        Refused: the run has none.
    """
    rows = prepared.splits.get("validation")
    if rows is None:
        raise Refused(
            "This run has no validation rows, on which an export is checked.",
            key="RUN",
            value=str(run.folder),
            rule="a run with dataset.split.validation above 0",
        )
    return CheckRows(
        task=task, texts=texts_of(rows), labels=task.labels(rows), clusters=task.clusters(rows)
    )


def learnt_texts(prepared: Prepared) -> tuple[Text, ...]:
    """Return the texts that the run's student learnt from, with labels or without."""
    found = (prepared.splits.get(split) for split in _LEARNT)
    return tuple(text for rows in found if rows is not None for text in texts_of(rows))


def texts_of(rows: datasets.Dataset) -> tuple[Text, ...]:
    """Return the texts of prepared rows, as pairs if there are two."""
    if "text_pair" in rows.column_names:
        return tuple(zip(rows["text"][:], rows["text_pair"][:], strict=True))
    return tuple(rows["text"][:])


def read_texts(typed: str, columns: tuple[str, ...]) -> tuple[Text, ...]:
    """Read the texts of a file.

    Args:
        typed: `FILE`, `FILE:COLUMN` or, for pairs, `FILE:COLUMN,COLUMN`.
        columns: the run's text columns, which a file without named ones has too.

    Raises:
        Refused: there is no such file or column, or a text is missing.
    """
    path, names = _place(typed, columns)
    settings = Dataset(name="texts", path=str(path), text=list(names), label="")
    try:
        with TemporaryDirectory() as cache:
            table = load(ClassLabels(settings), (path,), cache=Path(cache))
            read = [table[name][:] for name in names]
    except Refused as refused:
        raise _not_texts(refused.what, typed, refused.way_out) from refused
    kept = [row for row in zip(*read, strict=True) if all(row)]
    if not kept:
        raise _not_texts(f"{path} holds no text.", typed, None)
    return tuple(row[0] if len(row) == 1 else (row[0], row[1]) for row in kept)


def _place(typed: str, columns: tuple[str, ...]) -> tuple[Path, tuple[str, ...]]:
    """Split what was typed into the file and its columns."""
    path, names = Path(typed), columns
    if not path.is_file() and ":" in typed:
        file, _, listed = typed.rpartition(":")
        path, names = Path(file), tuple(listed.split(","))
    if not path.is_file():
        raise _not_texts(f"There is no file {path}.", typed, "--vocabulary train")
    if path.suffix.lower() not in _FORMATS:
        raise _not_texts(f"{path} is of no known format.", typed, None)
    if len(names) != len(columns):
        counted = "two columns" if len(columns) == 2 else "one column"
        raise _not_texts(f"The student reads {counted}.", typed, f"{path}:{','.join(columns)}")
    return path, names


def _not_texts(what: str, typed: str, way_out: str | None) -> Refused:
    return Refused(
        what,
        key="--vocabulary",
        value=typed,
        rule="train, or FILE:COLUMN of a csv, tsv, jsonl or parquet file",
        way_out=way_out,
    )


def _config(folder: Path) -> Config:
    """Read the run's settings."""
    try:
        read = OmegaConf.load(folder / "config.yaml")
        merged = OmegaConf.merge(OmegaConf.structured(Config), read)
        assert isinstance(merged, DictConfig)
        return to_dataclasses(merged)
    except OmegaConfBaseException as error:
        raise DistillError(f"{folder / 'config.yaml'} is of another version: {error}") from error


def _refused(run: RunFolder, what: str) -> Refused:
    return Refused(
        what,
        key="RUN",
        value=str(run.folder),
        rule="the data that the run was trained on: an export is checked on its validation rows",
        way_out=_HERE,
    )
