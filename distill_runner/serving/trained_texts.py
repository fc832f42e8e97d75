"""Finds the texts that a run may have trained on, so that a check knows what is held out."""

from __future__ import annotations

import csv
from pathlib import Path

from distill_runner.config.schema import TaskKind
from distill_runner.errors import Refused
from distill_runner.evaluation.predictions_file import FOLDER
from distill_runner.hub.locate import file_digest
from distill_runner.serving.finished_run import RunFolder
from distill_runner.serving.labelled_rows import Columns, digest_texts, read_rows
from distill_runner.serving.table_reader import open_source

_LEARNT = ("train", "quiz")  # splits that a model learns from
_HELD_OUT = ("test", "validation", "valid", "dev")  # files that no model trains on


def find_trained_texts(run: RunFolder) -> frozenset[bytes] | None:
    """Return the digests of the texts in the run's training file that it may have trained on.

    The ids of its predictions say which these are, or at least which were held out; then rows that
    the split left over count as trained on.

    Returns:
        None if the file is no longer where the run read it, or has changed.
    """
    given = run.result.provenance.data["task"]
    if given.path is None:
        return None
    place, found = Path(given.path).expanduser(), set[bytes]()
    for name, digest in given.files.items():
        path = place / name if place.is_dir() else place
        if path.stem.startswith(_HELD_OUT):
            continue
        if path.name != name or not path.is_file() or file_digest(path) != digest:
            return None
        try:
            found |= _texts_of(path, run)
        except Refused:
            return None  # such as a .json that holds one list of columns
    return frozenset(found)


def _texts_of(path: Path, run: RunFolder) -> set[bytes]:
    columns = Columns(run.result.data.texts, None, TaskKind.classification)
    trained, held_out = _positions(run.folder)
    kept, gone = set[bytes](), set[bytes]()
    for chunk in read_rows(open_source(str(path)), columns):
        for row in chunk:
            at = row.number - 1
            if row.texts is not None:
                learnt = at in trained if trained else at not in held_out
                (kept if learnt else gone).add(digest_texts(row.texts))
    return kept - gone


def _positions(folder: Path) -> tuple[set[int], set[int]]:
    """Return the positions of rows in the training file, from 0: trained on, and held out."""
    trained, held_out = set[int](), set[int]()
    for path in (folder / FOLDER).glob("*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            ids = [row["id"] for row in csv.DictReader(file)]
        found = {int(one.removeprefix("train-")) for one in ids if one.startswith("train-")}
        (trained if path.stem in _LEARNT else held_out).update(found)
    return trained, held_out
