"""Writes an output that an interrupted command can continue, and that is never half a file.

NAME.partial        what is written so far; becomes NAME at the end
NAME.partial.json   what it was made from, and how much of it is certain; removed at the end
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Annotated, Literal

from distill_runner.errors import Refused
from distill_runner.evaluation.text_counts import TextCounts
from distill_runner.results.typed_json import Malformed, from_json, parse, to_json
from distill_runner.storage.locks import is_free
from distill_runner.storage.store import write_json

_SECONDS = 1.0  # between two commits
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class MadeFrom:
    """What an output is made from; only the same can continue it."""

    input: Annotated[str, "SHA-256 of the file"]
    student: Annotated[str, "SHA-256 over the student's files"]
    options: Annotated[Mapping[str, str], "every option that changes the output"]


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What was counted over the rows that are written."""

    rows: Annotated[int, "rows"] = 0
    without_text: Annotated[int, "rows without a text, which have no answer"] = 0
    counts: Annotated[TextCounts, "of the others' texts"] = field(default_factory=TextCounts)

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            rows=self.rows + other.rows,
            without_text=self.without_text + other.without_text,
            counts=self.counts + other.counts,
        )


@dataclass(frozen=True, kw_only=True)
class Sidecar:
    """The file beside an unfinished output."""

    program: Annotated[Literal["distill predict"], "who writes it"] = "distill predict"
    made_from: Annotated[MadeFrom, "of the output"]
    size: Annotated[int, "bytes of the output that are certain"]
    sha256: Annotated[str, "of these bytes"]
    tally: Annotated[Tally, "of the rows in these bytes"]


class PartialOutput:
    """An output while it is written.

    Attributes:
        path: the unfinished file.
        tally: of the rows that an earlier attempt wrote.
        certain: rows that the next attempt need not predict again.
    """

    def __init__(self, target: Path, made_from: MadeFrom, sidecar: Sidecar | None) -> None:
        self.path, self._beside = _names(target)
        self.tally = Tally() if sidecar is None else sidecar.tally
        self.certain = self.tally.rows  # rows
        self._target = target
        self._made_from = made_from
        self._digest, self._size = hashlib.sha256(), 0
        self._file: IO[bytes] = self.path.open("r+b" if sidecar is not None else "xb")
        self._take_up(sidecar.size if sidecar is not None else 0)
        self._committed = time.monotonic()
        self._write_sidecar(self.tally)

    def _take_up(self, size: int) -> None:
        """Read the certain bytes into the digest, and cut off what follows them."""
        while self._size < size:
            block = self._file.read(min(_BLOCK_BYTES, size - self._size))
            self._digest.update(block)
            self._size += len(block)
        self._file.truncate(size)
        self._file.seek(size)

    def write(self, data: bytes) -> None:
        """Append bytes; they are certain after the next `commit`."""
        self._file.write(data)
        self._digest.update(data)
        self._size += len(data)

    def commit(self, tally: Tally) -> None:
        """Make what is written certain; at most once a second, since disks are slow.

        Args:
            tally: of all rows that are written.
        """
        if time.monotonic() - self._committed >= _SECONDS:
            self.flush()
            self._write_sidecar(tally)
            self.certain, self._committed = tally.rows, time.monotonic()

    def flush(self) -> None:
        """Write to the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def publish(self) -> None:
        """Give the complete file its name."""
        self.flush()
        self._file.close()
        _check_free(self._target)
        os.replace(self.path, self._target)
        self._beside.unlink()

    def leave(self) -> None:
        """Leave the unfinished file to the next attempt; remove it if nothing in it is certain."""
        self._file.close()
        if not self.certain:
            self.path.unlink()
            self._beside.unlink()

    def _write_sidecar(self, tally: Tally) -> None:
        found = Sidecar(
            made_from=self._made_from,
            size=self._size,
            sha256=self._digest.hexdigest(),
            tally=tally,
        )
        write_json(self._beside, to_json(found))


def check_target(target: Path) -> None:
    """Refuse an output that exists, or whose folder does not, before anything is read.

    Raises:
        Refused: it does, or it does not.
    """
    if not target.parent.is_dir():
        raise _refused(
            f"There is no folder {target.parent}.", target, "a file in a folder that exists",
            f"mkdir -p {target.parent}",
        )  # fmt: skip
    _check_free(target)


@contextmanager
def open_output(target: Path, made_from: MadeFrom) -> Iterator[PartialOutput]:
    """Begin an output, or continue it where an interrupted command left it; publish it at the end.

    Raises:
        Refused: another command is writing it; what lies there was not made by this command
            from the same input, student and options, or was changed since.
    """
    lock = target.with_name(f".{target.name}.lock")
    with is_free(lock) as free:
        if not free:
            what = f"Another command is writing {target}."
            raise _refused(what, target, "one command for one output", "--output ANOTHER_NAME")
        try:
            output = PartialOutput(target, made_from, _continued(target, made_from))
            try:
                yield output
                output.publish()
            except BaseException:
                output.leave()
                raise
        finally:
            lock.unlink(missing_ok=True)


def _continued(target: Path, made_from: MadeFrom) -> Sidecar | None:
    """Return the sidecar of the unfinished output; None if there is none.

    Raises:
        Refused: it is not ours, damaged, or made from something else.
    """
    partial, beside = _names(target)
    if not os.path.lexists(partial) and not os.path.lexists(beside):
        return None
    sidecar = _read_sidecar(partial, beside)
    if made_from.input != sidecar.made_from.input:
        raise _other("The input has changed since.", partial)
    if made_from.student != sidecar.made_from.student:
        raise _other("Another run's student began it.", partial)
    before, now = sidecar.made_from.options, made_from.options
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            what = f"It was begun with {name}={before.get(name)}, and this is {now.get(name)}."
            raise _other(what, partial)
    return sidecar


def _read_sidecar(partial: Path, beside: Path) -> Sidecar:
    try:
        sidecar = from_json(Sidecar, parse(beside.read_bytes()))
        with partial.open("rb") as content:
            certain = _digest(content, sidecar.size)
    except FileNotFoundError as error:
        missing = Path(str(error.filename))
        raise _other(f"There is no {missing.name} beside it.", partial) from error
    except Malformed as error:
        raise _other(f"{beside.name} is damaged ({error}).", partial) from error
    if certain != sidecar.sha256:
        raise _other("It is not as the interrupted command left it.", partial)
    return sidecar


def _digest(content: IO[bytes], size: int) -> str:
    digest, left = hashlib.sha256(), size
    while left and (block := content.read(min(_BLOCK_BYTES, left))):
        digest.update(block)
        left -= len(block)
    return digest.hexdigest()


def _names(target: Path) -> tuple[Path, Path]:
    partial = target.with_name(f"{target.name}.partial")
    return partial, partial.with_name(f"{partial.name}.json")


def _check_free(target: Path) -> None:
    if os.path.lexists(target):
        raise _refused(
            f"{target} exists already.",
            target,
            "a file that does not exist: none is overwritten",
            "--output ANOTHER_NAME, or move that file away",
        )


def _other(why: str, partial: Path) -> Refused:
    return _refused(
        f"{partial} cannot be continued. {why}",
        partial.with_suffix(""),
        "an output that the same command began, with the same input",
        f"--output ANOTHER_NAME, or move {partial.name} and {partial.name}.json away",
    )


def _refused(what: str, target: Path, rule: str, way_out: str) -> Refused:
    return Refused(what, key="--output", value=str(target), rule=rule, way_out=way_out)
