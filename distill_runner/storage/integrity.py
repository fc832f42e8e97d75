"""Checks the contents of a store before they are used.

A complete folder `<store>/<kind>/<name>` is sealed with a manifest. It holds every file's size and
sha256, and the modification time and inode that identify an untouched file without reading it.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from distill_runner.errors import DistillError, Refused
from distill_runner.storage.locks import hold_lock, is_free

MANIFEST = "manifest.json"
# Folders of finished stages and of their logits in an earlier layout of the store.
EARLIER_LAYOUT = ("artifacts", "signals")
# Present in a stage's folder during training; each carries its own digest.
CHECKPOINTS = ("checkpoint.pt", "best.pt")
UNFINISHED = ".unfinished"  # suffix of that folder

_SMALL = 16 << 20  # bytes; files up to this size are always hashed
_DAMAGE = "! "  # prefix of messages about damage
_SCRATCH = ".partial-"  # prefix of incomplete folders

Say = Callable[[str], None]


class Damaged(DistillError):
    """Raised if the contents of the store differ from what was written."""

    def __init__(self, path: Path, why: str) -> None:
        self.path = path
        self.why = why
        super().__init__(
            f"{path} is damaged: {why}.\n"
            "  run the same command again: it moves the damaged folder away and rebuilds it"
        )


@dataclass(frozen=True)
class _Stamp:
    """The properties that identify an untouched file without reading it."""

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> _Stamp:
        stat = path.stat()
        return cls(stat.st_size, stat.st_mtime_ns, stat.st_ino)


def seal(folder: Path, *, name: str) -> None:
    """Write the manifest of a complete folder, and set its files' mode from the umask.

    Args:
        folder: the folder, under its current name.
        name: its final name.
    """
    files = {}
    for file in _files(folder):
        path = folder / file
        # safetensors makes files readable by their owner only; the folder follows the umask.
        path.chmod(folder.stat().st_mode & 0o666)
        stamp = _Stamp.of(path)
        files[file] = {**asdict(stamp), "sha256": _sha256(path)}
    text = json.dumps({"of": name, "files": files}, indent=1)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def fault(folder: Path, *, hashed: bool = True) -> str | None:
    """Describe what is wrong with a sealed folder; None if it is intact.

    Args:
        folder: the folder.
        hashed: hash every file; otherwise large files with an unchanged stamp are trusted.

    Raises:
        Refused: a file is not readable.
    """
    try:
        recorded = _recorded(folder)
        found = _files(folder)
        for name in [*recorded, *found]:
            if name not in found:
                return f"{name} is missing"
            if name not in recorded:
                return f"{name!r} is not one of its files"
            wrong = _fault_of(folder / name, recorded[name], hashed=hashed)
            if wrong is not None:
                return f"{name} {wrong}"
    except PermissionError as error:
        raise Refused(
            f"A file of the store cannot be read: {error.filename}",
            key="store.dir",
            value=str(folder.parent.parent),
            rule="a folder whose files are readable",
            way_out="make the file readable, or choose another store.dir=FOLDER",
        ) from error
    except FileNotFoundError as error:
        return f"{Path(str(error.filename)).name} is missing"
    except (IsADirectoryError, NotADirectoryError):
        return "a file is where a folder was, or a folder where a file was"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return f"{MANIFEST} has other content"
    return None


def check(folder: Path, *, hashed: bool = True) -> None:
    """Raise the fault that `fault` finds, if any.

    Raises:
        Damaged: a file differs from what was sealed.
        Refused: a file is not readable.
    """
    found = fault(folder, hashed=hashed)
    if found is not None:
        raise Damaged(folder, found)


def _recorded(folder: Path) -> dict[str, tuple[_Stamp, str]]:
    """Return the stamp and the sha256 of each file in the manifest."""
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
    if manifest["of"] != folder.name:
        raise ValueError("this is another folder's manifest")
    return {
        name: (_Stamp(entry["size"], entry["mtime_ns"], entry["inode"]), entry["sha256"])
        for name, entry in manifest["files"].items()
    }


def _fault_of(path: Path, recorded: tuple[_Stamp, str], *, hashed: bool) -> str | None:
    (known, sha256), stamp = recorded, _Stamp.of(path)
    if stamp.size != known.size:
        return f"has {stamp.size:,} bytes, not {known.size}"
    if stamp == known and stamp.size > _SMALL and not hashed:
        return None
    return None if _sha256(path) == sha256 else "has other content"


_digests: dict[tuple[int, ...], str] = {}


def _sha256(path: Path) -> str:
    """Return the file's digest; an untouched file is read once per process, even if renamed."""
    stat = path.stat()
    same = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    if same not in _digests:
        with path.open("rb") as file:
            _digests[same] = hashlib.file_digest(file, "sha256").hexdigest()
    return _digests[same]


def _files(folder: Path) -> list[str]:
    """Return the files that a manifest records: all but hidden files and checkpoints."""
    found = []
    for parent, _, names in os.walk(folder, onerror=_raise):
        found += [Path(parent, name) for name in names if not name.startswith(".")]
    within = sorted(path.relative_to(folder).as_posix() for path in found if path.is_file())
    return [name for name in within if name not in (MANIFEST, *CHECKPOINTS)]


def _raise(error: OSError) -> None:
    raise error


def provide(target: Path, make: Callable[[Path], None], *, say: Say) -> None:
    """Ensure that `target` exists and is intact; build it if necessary.

    Processes that need the same folder wait for the first of them to build it.

    Args:
        target: the folder.
        make: fills an empty folder; the folder's parent may hold temporary files.
        say: receives messages about damage and about waiting.

    Raises:
        Refused: a file is not readable.
    """
    if fault(target) is None:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with hold_lock(
        lock_of(target), waiting=lambda: say(f"  waiting for another process to prepare {target}")
    ):
        if not is_intact(target, say=say):
            with _build_folder(target) as folder:
                make(folder)


def lock_of(target: Path) -> Path:
    """Return the lock that is held while `target` is built."""
    return target.with_name(f"{target.name}.lock")


@contextmanager
def _build_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder; at the end seal it and move it to `target`."""
    scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix=f"{_SCRATCH}{target.name}-"))
    try:
        folder = scratch / "made"
        folder.mkdir()
        yield folder
        seal(folder, name=target.name)
        os.replace(folder, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def is_intact(target: Path, *, say: Say) -> bool:
    """Return whether `target` exists and is intact; a damaged one is reported and moved away.

    The caller must hold the folder's lock.
    """
    if not os.path.lexists(target):
        return False
    found = fault(target)
    if found is not None:
        set_aside(target, found, say=say)
    return found is None


def set_aside(path: Path, why: str, *, say: Say) -> None:
    """Move a damaged folder to `<store>/damaged/<kind>`; the caller must hold the lock."""
    folder = path.parent.parent / "damaged" / path.parent.name
    target, count = folder / path.name, 1
    while os.path.lexists(target):
        count += 1
        target = folder / f"{path.name}-{count}"
    folder.mkdir(parents=True, exist_ok=True)
    # Report first: `say` may raise to prevent the move.
    say(f"{_DAMAGE}{path} is damaged: {why}. It is moved to {target} and rebuilt.")
    os.replace(path, target)


def is_damage(line: object) -> bool:
    """Return whether a message reports damage."""
    return isinstance(line, str) and line.startswith(_DAMAGE)


def discard(folder: Path) -> None:
    """Remove a sealed folder; a killed process leaves no partial folder under its name."""
    scratch = folder.with_name(f"{_SCRATCH}{folder.name}-{secrets.token_hex(4)}")
    try:
        os.replace(folder, scratch)
    except FileNotFoundError:
        return
    shutil.rmtree(scratch)


def sweep(store: Path) -> None:
    """Remove incomplete folders of killed processes: those whose lock is free."""
    for kind in store.glob("*/"):
        if kind.name not in EARLIER_LAYOUT:
            _sweep_kind(kind)


def _sweep_kind(kind: Path) -> None:
    for scratch in kind.glob(f"{_SCRATCH}*"):
        name = scratch.name.removeprefix(_SCRATCH).rpartition("-")[0]
        _remove_if_free(scratch, lock_of(scratch.with_name(name)))
    for scratch in kind.glob(f"*{UNFINISHED}/*.partial"):
        _remove_if_free(scratch, lock_of(scratch.parent.with_suffix("")))
    for name in CHECKPOINTS:
        for left in kind.glob(f"*/{name}"):
            if left.parent.suffix != UNFINISHED:  # the stage was finished afterwards
                _remove_if_free(left, lock_of(left.parent))


def _remove_if_free(scratch: Path, lock: Path) -> None:
    if not os.access(lock.parent, os.W_OK):
        return  # the store is read-only
    with is_free(lock) as free:
        if free and scratch.is_dir():
            shutil.rmtree(scratch)
        elif free:
            scratch.unlink(missing_ok=True)
