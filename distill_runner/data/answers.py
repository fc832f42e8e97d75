"""Reads a file of answers, which teaches in place of a model.

Each line is a JSON object that names a row of the data and carries one answer:

    {"classes": ["negative", "positive"]}                        once, before lists
    {"text": "a good film", "label": "positive"}
    {"text_sha256": "9f…", "probabilities": {"negative": 0.1, "positive": 0.9}}
    {"id": "train-7", "logits": [-1.25, 0.5]}

Other keys are left alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from distill_runner.config import schema
from distill_runner.data.answer_lines import Given, Reader
from distill_runner.data.held_out import texts_of
from distill_runner.data.readers.json_records import records
from distill_runner.data.texts import text_sha256
from distill_runner.errors import Refused
from distill_runner.hub.locate import file_digest
from distill_runner.tasks.base import Task

if TYPE_CHECKING:
    from datasets import Dataset

LINE = '{"text": "a good film", "label": "positive"}'
_RULE = "JSON lines, each with a text and an answer"
_NOWHERE = -1  # the position of a row without an answer


@dataclass(frozen=True)
class Answers:
    """The answers of one file.

    Args:
        sha256: of the file.
        logits: [answers, outputs] float32.
        by_digest: the position of each text's answer, by `text_sha256`.
        by_id: the position of each answer that names its row by the id alone.
        has_labels: whether a label is among the answers, so that logits are made up.
        repeated: lines that repeat another.
    """

    sha256: str
    logits: np.ndarray
    by_digest: Mapping[bytes, int]
    by_id: Mapping[str, int]
    has_labels: bool
    repeated: int

    def positions(self, table: Dataset) -> np.ndarray:
        """Return the position in `logits` of each row's answer; below 0 if it has none. [rows]."""
        found = [
            self.by_digest.get(bytes.fromhex(text_sha256(row)), _NOWHERE) for row in texts_of(table)
        ]
        if self.by_id:
            ids: list[str] = table["id"][:]
            pairs = zip(found, ids, strict=True)
            found = [self.by_id.get(id, _NOWHERE) if at == _NOWHERE else at for at, id in pairs]
        return np.asarray(found, dtype=np.int64)


def check_file(path: Path, *, key: str) -> None:
    """Refuse a path that is no file.

    Args:
        key: the setting that names it.
    """
    if not path.expanduser().is_file():
        found = "is a folder" if path.expanduser().is_dir() else "does not exist"
        raise Refused(
            f"There is no file of answers '{path}': it {found}.",
            key=key,
            value=str(path),
            rule=_RULE,
            way_out=f"lines such as {LINE}",
        )


def read_answers(path: Path, *, task: Task, names: Sequence[str], pairs: bool) -> Answers:
    """Read a file of answers; once for all jobs of a sweep, unless the file changes.

    Args:
        path: the file.
        task: of the data.
        names: of the data's outputs, in order.
        pairs: whether a row has two texts.

    Raises:
        Refused: a line is malformed, or two lines answer one row differently.
    """
    check_file(path, key="teacher.path")
    found = path.expanduser().stat()
    return _read(path, (found.st_size, found.st_mtime_ns, found.st_ino), task, tuple(names), pairs)


@cache
def _read(
    path: Path,
    version: tuple[int, ...],  # noqa: ARG001
    task: Task,
    names: tuple[str, ...],
    pairs: bool,
) -> Answers:
    file, reader = path.expanduser(), Reader(task, names, pairs)
    try:
        with np.errstate(over="ignore"):  # infinity is refused
            kept = _read_lines(path, file, reader)
    except Refused as refused:
        if refused.key != "dataset.path":
            raise
        raise _refused(path, refused.what, _RULE) from refused
    if not len(kept.places):
        raise _refused(path, f"'{file.name}' has no answers.", _RULE)
    return Answers(
        sha256=file_digest(file),
        logits=kept.logits,
        by_digest=kept.by_digest,
        by_id=kept.by_id,
        has_labels=reader.labels > 0,
        repeated=kept.repeated,
    )


def _read_lines(path: Path, file: Path, reader: Reader) -> _Kept:
    kept = _Kept(len(reader.names))
    for record in records(schema.Dataset(name="answers", path=str(path)), file):
        try:
            given = reader.read(record.cells)
            if given is not None:
                kept.add(given, record.where)
        except _Doubled as error:
            what = f"'{file.name}', {record.where} and {error} answer one row differently."
            raise _refused(path, what, "one answer for each row", "keep one of them") from error
        except ValueError as error:
            what = f"'{file.name}', {record.where}: {error}."
            raise _refused(path, what, reader.rule) from error
    return kept


class _Doubled(ValueError):
    """Raised if two lines answer one row differently; the message is the first one's place."""


@dataclass
class _Kept:
    """The answers read so far, each row's once."""

    outputs: int
    by_digest: dict[bytes, int] = field(default_factory=dict)
    by_id: dict[str, int] = field(default_factory=dict)
    places: list[str] = field(default_factory=list)
    repeated: int = 0
    _logits: bytearray = field(default_factory=bytearray)

    @property
    def logits(self) -> np.ndarray:
        """The answers. [answers, outputs] float32."""
        return np.frombuffer(bytes(self._logits), dtype=np.float32).reshape(-1, self.outputs)

    def add(self, given: Given, place: str) -> None:
        """Keep an answer, unless an equal one is kept.

        Raises:
            _Doubled: another line, named by the error, answers the same row differently.
        """
        known = self._position(given)
        if known is None:
            at = len(self.places)
            if given.digest is not None:
                self.by_digest[given.digest] = at
            else:
                self.by_id[given.id] = at
            self.places.append(place)
            self._logits += given.logits.tobytes()
            return
        size = given.logits.nbytes
        if self._logits[known * size : (known + 1) * size] != given.logits.tobytes():
            raise _Doubled(self.places[known])
        self.repeated += 1

    def _position(self, given: Given) -> int | None:
        if given.digest is not None:
            return self.by_digest.get(given.digest)
        return self.by_id.get(given.id)


def _refused(path: Path, what: str, rule: str, way_out: str | None = None) -> Refused:
    return Refused(
        what,
        key="teacher.path",
        value=str(path),
        rule=rule,
        way_out=way_out or f"lines such as {LINE}",
    )
