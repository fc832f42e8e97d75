"""The folder that an export is written to; it appears whole, and replaces only an export of ours.

<output>/                       the export, described by its export.json
.<name>.partial/  beside it     what the export in progress has written so far
.<name>.earlier/  beside it     the export that is being replaced
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distill_runner.errors import DistillError, Refused
from distill_runner.export.description import DESCRIPTION, ExportDescription, read_description
from distill_runner.jobs.output_folder import EXPORT, RunState, state_of
from distill_runner.results.files import FileEntry
from distill_runner.serving.finished_run import RunFolder


def default_folder(run: RunFolder) -> Path:
    """Return the folder inside the run folder where its export lies."""
    return run.folder / EXPORT


@contextmanager
def claim(target: Path, run: RunFolder) -> Iterator[Path]:
    """Yield an empty folder; if the block succeeds, move it to `target`.

    Raises:
        Refused: `target` holds something else than an unchanged export of this run, lies among a
            run's own files, or another process is exporting to it.
        DistillError: it cannot be written.
    """
    _check_place(target)
    _check(target, run)
    partial = target.with_name(f".{target.name}.partial")
    try:
        with _hold(partial, target):
            yield partial
            _check(target, run)  # it may have changed meanwhile
            _install(partial, target)
    except OSError as error:
        what = f"{error.strerror or error}: {error.filename or target}"
        raise DistillError(f"The export cannot be written. {what}") from error


@contextmanager
def _hold(partial: Path, target: Path) -> Iterator[None]:
    """Make an empty folder, hold it inside the block, and remove it in the end."""
    partial.mkdir(parents=True, exist_ok=True)
    lock = os.open(partial, os.O_RDONLY)
    try:
        _lock(lock, target)
        _empty(partial)
        try:
            yield
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    finally:
        os.close(lock)


def files_of(folder: Path) -> dict[str, FileEntry]:
    """Return size and digest of every file below the folder but its own export.json."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    names = [path.relative_to(folder).as_posix() for path in found]
    return {
        name: _facts(path) for name, path in zip(names, found, strict=True) if name != DESCRIPTION
    }


def _facts(path: Path) -> FileEntry:
    # safetensors makes files readable by their owner only; the folder follows the umask.
    path.chmod(path.parent.stat().st_mode & 0o666)
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return FileEntry(size=path.stat().st_size, sha256=digest)


def _lock(descriptor: int, target: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _refused(target, f"Another export is writing to {target}.") from None


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _install(partial: Path, target: Path) -> None:
    earlier = target.with_name(f".{target.name}.earlier")
    shutil.rmtree(earlier, ignore_errors=True)
    if target.exists():
        os.replace(target, earlier)
    os.replace(partial, target)
    shutil.rmtree(earlier, ignore_errors=True)


def _check_place(target: Path) -> None:
    """Refuse a folder inside a run folder, unless it is the one for its export."""
    place = target.resolve()
    for parent in place.parents:
        if place != parent / EXPORT and state_of(parent) is not RunState.other:
            raise Refused(
                f"{target} lies among the files of a run.",
                key="--output",
                value=str(target),
                rule=f"a folder outside of run folders, or {EXPORT} inside one",
                way_out=f"--output {parent / EXPORT}",
            )


def _check(target: Path, run: RunFolder) -> None:
    """Refuse a target that holds anything but an unchanged export of this run."""
    if not os.path.lexists(target) or (target.is_dir() and not any(target.iterdir())):
        return
    if not target.is_dir():
        raise _refused(target, f"{target} is a file.")
    found = _description(target)
    if found.run != run.result.key and target.resolve() != default_folder(run).resolve():
        raise _refused(target, f"{target} holds the export of another run ({found.run}).")
    if changed := _changed(target, found):
        what = f"{target} holds {changed}, which no export wrote, or which has changed since."
        raise _refused(target, what)


def _description(target: Path) -> ExportDescription:
    try:
        return read_description(target)
    except DistillError:
        first = min(path.name for path in target.iterdir())
        raise _refused(target, f"{target} is no export: it holds {first}.") from None


def _changed(target: Path, known: ExportDescription) -> str | None:
    """Return the first file that differs from what the export wrote."""
    found = files_of(target)
    names = sorted(found.keys() | known.files.keys())
    return next((name for name in names if found.get(name) != known.files.get(name)), None)


def _refused(target: Path, what: str) -> Refused:
    return Refused(
        what,
        key="--output",
        value=str(target),
        rule="a folder that is new, empty, or holds only an unchanged export of the same run",
        way_out="--output ANOTHER_FOLDER, or move it away",
    )
