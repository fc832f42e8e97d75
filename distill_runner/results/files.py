"""Reads the files of a run folder: result.json, and the last command's attempt.json."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from distill_runner.errors import DistillError
from distill_runner.results.schema import SCHEMA_VERSION, RunResult
from distill_runner.results.typed_json import Malformed, from_json, parse

RESULT, ATTEMPT, FILES = "result.json", "attempt.json", "files.json"

Status = Literal["started", "planned", "finished", "failed", "refused", "interrupted", "damaged"]


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """How the last command that wrote into a run's folder ended."""

    status: Annotated[Status, "`started` if the process was killed"]
    overrides: Annotated[tuple[str, ...], "what was typed"]
    seconds: Annotated[float | None, "wall-clock time of the command, if it finished"] = None
    error: Annotated[str | None, "the message, if it did not"] = None


@dataclass(frozen=True, kw_only=True)
class FileEntry:
    """A file as the run left it."""

    size: Annotated[int, "bytes"]
    sha256: Annotated[str, "in hex"]


@dataclass(frozen=True, kw_only=True)
class FileList:
    """The files of a finished run; files.json marks a folder as one of distill-run's."""

    program: Annotated[Literal["distill-run"], "the program that the folder belongs to"]
    files: Annotated[Mapping[str, FileEntry], "by path inside the folder"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One job of a sweep: how it ended, and its result if it finished."""

    name: str  # of its folder
    attempt: Attempt
    result: RunResult | None = None
    folder: Path | None = None  # with its predictions

    @property
    def overrides(self) -> Sequence[str]:
        """The overrides of the run's command."""
        return self.attempt.overrides


def read_result(folder: Path) -> RunResult:
    """Read the result of the finished run in `folder`.

    Raises:
        DistillError: there is no result, it is damaged, or another version wrote it.
    """
    path = folder / RESULT
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        way_out = "name the folder of a finished run"
        raise DistillError(f"{folder} holds no {RESULT}; {way_out}.") from None
    try:
        value = parse(content)
        _check_version(path, value)
        result = from_json(RunResult, value)
        _check_digest(folder, content)
    except Malformed as malformed:
        raise DistillError(f"{path} is damaged: {malformed}.") from malformed
    return result


def _check_version(path: Path, value: object) -> None:
    version = value.get("schema_version", "missing") if isinstance(value, dict) else None
    if version == "missing" or (type(version) is int and version != SCHEMA_VERSION):
        raise DistillError(
            f"{path} was written by another version of distill-run: its schema_version is "
            f"{version}, and this version reads {SCHEMA_VERSION}."
        )


def read_job(folder: Path) -> Job:
    """Read how the job in `folder` ended; damaged files are reported as a status, not raised."""
    path, attempt = folder / ATTEMPT, None
    try:
        attempt = from_json(Attempt, parse(path.read_bytes()))
        result = read_result(folder) if attempt.status == "finished" else None
        return Job(name=folder.name, attempt=attempt, result=result, folder=folder)
    except Malformed as malformed:
        error = f"{path} is damaged: {malformed}."
    except DistillError as damaged:
        error = str(damaged)
    overrides = attempt.overrides if attempt is not None else ()
    lost = Attempt(status="damaged", overrides=overrides, error=error)
    return Job(name=folder.name, attempt=lost)


def _check_digest(folder: Path, content: bytes) -> None:
    """Compare result.json with its digest in files.json; a record has no files.json.

    Raises:
        Malformed: they differ.
    """
    if not (folder / FILES).is_file():
        return
    known = from_json(FileList, parse((folder / FILES).read_bytes()), FILES).files
    if RESULT not in known:
        raise Malformed("", f"{FILES} does not list it")
    if hashlib.sha256(content).hexdigest() != known[RESULT].sha256:
        raise Malformed("", f"its SHA-256 is not the one in {FILES}")
