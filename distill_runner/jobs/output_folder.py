"""Manages the folder that a run writes into; files that no run wrote are never touched.

<output_dir>/files.json     the files of the finished run here, with size and sha256
<output_dir>/attempt.json   how the last command that wrote here ended
<output_dir>/log.txt        the output of every attempt, one after another
<output_dir>/.unfinished/   what the run in progress has written so far
<output_dir>/.complete/     the same once complete, while it is moved into place
<output_dir>/export/, cascade.json   what `distill` wrote; a later run leaves it

A finished run is left unchanged until its replacement is complete. A command that is refused before
it trains leaves no trace: the folder is only kept after `OutputFolder.keep`.
"""

from __future__ import annotations

import enum
import hashlib
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from distill_runner.errors import DistillError, Refused
from distill_runner.results.files import ATTEMPT, FILES, Attempt, FileEntry, FileList
from distill_runner.results.typed_json import Malformed, from_json, parse, to_json
from distill_runner.storage.store import write_json

_UNFINISHED, _COMPLETE, _LOCK = ".unfinished", ".complete", ".lock"
# Every run only appends to these, so a change in them is no reason to refuse a folder.
_ADDED_TO = ("log.txt", "tracker.jsonl", "wandb", "wandb.log")
_HALF_WRITTEN = ("files.partial", "attempt.partial")
# What `distill export` and `distill cascade` write; both know the run that they belong to.
EXPORT, CASCADE = "export", "cascade.json"
_VERBS = (CASCADE, EXPORT, f".{EXPORT}.partial", f".{EXPORT}.earlier")
_OURS = (FILES, ATTEMPT, _UNFINISHED, _COMPLETE, _LOCK, *_ADDED_TO, *_HALF_WRITTEN, *_VERBS)
_OF_A_SWEEP = (
    *(FILES, "files.partial", "multirun.yaml", "optimization_results.yaml"),
    *("sweep.txt", "sweep.csv", "sweep.json"),
)


class OutputFolder:
    """A run's folder, locked by this process.

    Attributes:
        path: the folder; log and curves are written into it directly.
        unfinished: where everything else is written until `publish`.
        kept: whether the folder stays when the run fails.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.unfinished = path / _UNFINISHED
        self.kept = False

    @classmethod
    @contextmanager
    def claim(cls, path: Path) -> Iterator[OutputFolder]:
        """Lock the folder, and complete a replacement that was interrupted half-way.

        Unless `keep` is called, the folder is restored to what it was.

        Raises:
            Refused: it holds files that no run wrote, or another run is writing into it.
        """
        _check(path)
        found = set(_entries(path)) if path.is_dir() else set()
        path.mkdir(parents=True, exist_ok=True)
        if not (path / FILES).exists():
            _write_files(path, {})
        lock = FileLock(path / _LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise Refused(
                f"Another run is writing into {path}.",
                key="output_dir",
                value=str(path),
                rule="one run at a time in a folder",
                way_out="output_dir=ANOTHER_FOLDER",
            ) from None
        folder = cls(path)
        try:
            if (path / _COMPLETE).exists():
                folder._install()
            shutil.rmtree(folder.unfinished, ignore_errors=True)
            folder.unfinished.mkdir()
            yield folder
        finally:
            shutil.rmtree(path / _UNFINISHED, ignore_errors=True)
            if not folder.kept:
                _remove_new(path, found)
            lock.release()

    def keep(self) -> None:
        """Keep what is written from now on, even if the run fails."""
        self.kept = True

    def record_attempt(self, attempt: Attempt) -> None:
        """Write `attempt.json`, if the folder is kept."""
        if self.kept:
            write_json(self.path / ATTEMPT, to_json(attempt))

    def publish(self) -> None:
        """Replace the files of an earlier run by those of this one.

        Raises:
            DistillError: the folder's files were changed from outside during the run.
        """
        if foreign := _foreign(self.path):
            raise DistillError(
                f"{self.path} has changed during the run: {foreign} is not as the earlier run "
                "left it.\n"
                "  finished stages are in the store: the same command with another output_dir "
                "trains nothing again"
            )
        _write_files(self.unfinished, _files_under(self.unfinished))
        # From here on the new run is the valid one, even if this process dies.
        os.replace(self.unfinished, self.path / _COMPLETE)
        self._install()

    def _install(self) -> None:
        """Move the complete run's entries into place; safe to repeat after an interruption."""
        complete = self.path / _COMPLETE
        new = {name.split("/")[0] for name in _known(complete)}
        for name in _entries(self.path):
            if name not in _OURS and name not in new:
                _remove(self.path / name)
        for name in _entries(complete):
            if name != FILES:
                if (self.path / name).exists():
                    _remove(self.path / name)
                os.replace(complete / name, self.path / name)
        # Last, since an interrupted move is detected by the remaining source folder.
        os.replace(complete / FILES, self.path / FILES)
        complete.rmdir()


class RunState(enum.Enum):
    """The kind of content in a folder."""

    finished = "finished"
    unfinished = "unfinished"
    other = "other"


def state_of(path: Path) -> RunState:
    """Return whether a folder holds a finished run, an unfinished one, or no run at all."""
    if not _is_ours(path):
        return RunState.other
    installed = not (path / _COMPLETE).exists() and "result.json" in _known(path)
    return RunState.finished if installed else RunState.unfinished


def changed_file(path: Path, entries: Collection[str], *, ignoring: Collection[str]) -> str | None:
    """Return the first missing, changed or added file of a finished run; None if there is none.

    Args:
        path: the run folder.
        entries: the files and folders directly in it that are compared.
        ignoring: files that may differ, relative to `path`.
    """

    def counts(name: str) -> bool:
        return name.split("/")[0] in entries and name not in ignoring

    known = {name: facts for name, facts in _known(path).items() if counts(name)}
    found = {name: facts for name, facts in _files_under(path, entries).items() if counts(name)}
    names = sorted(known.keys() | found.keys())
    return next((name for name in names if known.get(name) != found.get(name)), None)


def check_store_apart(store: Path, output: Path) -> None:
    """Refuse a store inside a run folder, since replacing the run would delete it.

    Raises:
        Refused: the store lies inside the folder.
    """
    if store.resolve().is_relative_to(output.resolve()):
        raise Refused(
            "The store lies inside the output folder.",
            key="store.dir",
            value=str(store),
            rule=f"outside of output_dir ({output}): a later run replaces everything in it",
            way_out="store.dir=outputs/store",
        )


def check_sweep(path: Path) -> None:
    """Refuse a sweep folder with files that no sweep wrote.

    Raises:
        Refused: there is such a file in the folder, or in a job's folder.
    """
    if path.is_dir() and _entries(path):
        jobs = [name for name in _entries(path) if name not in _OF_A_SWEEP]
        strangers = [name for name in jobs if not (name.isdigit() and (path / name).is_dir())]
        if not _is_ours(path) or strangers:
            raise _not_ours(path, (strangers or _entries(path))[0])
        for name in jobs:
            _check(path / name)


def mark_sweep(path: Path) -> None:
    """Create a sweep folder and mark it as one."""
    path.mkdir(parents=True, exist_ok=True)
    _write_files(path, {})


def _check(path: Path) -> None:
    if not path.is_dir() or not _entries(path):
        return
    strangers = [name for name in _entries(path) if name not in _OURS]
    found = _foreign(path) if _is_ours(path) else [*strangers, *_entries(path)][0]
    if found:
        raise _not_ours(path, found)


def _not_ours(path: Path, found: str) -> Refused:
    return Refused(
        f"{path} holds {found}, which no run of distill-run wrote, or which has changed since.",
        key="output_dir",
        value=str(path),
        rule="a folder that is new, empty, or holds only an unchanged earlier run",
        way_out="output_dir=ANOTHER_FOLDER, or move that file away",
    )


def _is_ours(path: Path) -> bool:
    try:
        _known(path)
    except (OSError, Malformed):
        return False
    return True


def _foreign(path: Path) -> str | None:
    """Return the first file under `path` that differs from what the finished run left."""
    if (path / _COMPLETE).exists():
        return None  # checked before the move began; part of the earlier run may be gone
    known = _known(path)
    for name in _entries(path):
        if name in _OURS:
            continue
        entry = path / name
        below = sorted(entry.rglob("*")) if entry.is_dir() and not entry.is_symlink() else [entry]
        for file in below:
            relative = file.relative_to(path).as_posix()
            whole = file.is_symlink() or not file.is_dir()
            if whole and (file.is_symlink() or _facts(file) != known.get(relative)):
                return relative
    return None


def _known(path: Path) -> Mapping[str, FileEntry]:
    """Return the files of the finished run, as it left them."""
    return from_json(FileList, parse((path / FILES).read_bytes())).files


def _files_under(path: Path, entries: Collection[str] = ("",)) -> dict[str, FileEntry]:
    """Return size and digest of each file below the entries of a folder."""
    below = [file for name in entries for file in (path / name, *(path / name).rglob("*"))]
    return {file.relative_to(path).as_posix(): _facts(file) for file in below if file.is_file()}


def _facts(file: Path) -> FileEntry:
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return FileEntry(size=file.stat().st_size, sha256=digest)


def _write_files(path: Path, files: Mapping[str, FileEntry]) -> None:
    write_json(path / FILES, to_json(FileList(program="distill-run", files=files)))


def _remove_new(path: Path, found: Collection[str]) -> None:
    """Remove the marker files of a run that never began."""
    for name in (FILES, _LOCK):
        if name not in found:
            (path / name).unlink(missing_ok=True)


def _entries(path: Path) -> list[str]:
    return sorted(os.listdir(path))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
