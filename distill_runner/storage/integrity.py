"""What lies in a store is checked before it is believed.

A folder `<store>/<kind>/<name>` is sealed when it is whole: its manifest says the size and the
sha256 of every file, and the time and inode by which an untouched file is known without reading it.
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
from distill_runner.storage.locks import claimed, is_free

MANIFEST = "manifest.json"
# They lie in a stage's folder while it is trained, each with a digest of its own.
CHECKPOINTS = ("checkpoint.pt", "best.pt")
UNFINISHED = ".unfinished"  # how the name of that folder ends

_SMALL = 16 << 20  # bytes; a file of no more is always read
_DAMAGE = "! "  # how a line that tells of damage starts
_SCRATCH = ".partial-"  # how the name of what is not whole yet starts

Say = Callable[[str], None]


class Damaged(DistillError):
    """What lies in the store is not what was written there."""

    def __init__(self, path: Path, why: str) -> None:
        self.path = path
        self.why = why
        super().__init__(
            f"{path} is damaged: {why}.\n  the same command sets it aside and makes it again"
        )


@dataclass(frozen=True)
class _Stamp:
    """By which an untouched file is known."""

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> _Stamp:
        stat = path.stat()
        return cls(stat.st_size, stat.st_mtime_ns, stat.st_ino)


def seal(folder: Path, *, name: str) -> None:
    """Write the manifest of a folder that is whole, and give its files the umask's mode.

    Args:
        name: of the folder in the end.
    """
    files = {}
    for file in _files(folder):
        path = folder / file
        # safetensors lets only the owner read; the folder was made with the umask.
        path.chmod(folder.stat().st_mode & 0o666)
        stamp = _Stamp.of(path)
        files[file] = {**asdict(stamp), "sha256": _sha256(path)}
    text = json.dumps({"of": name, "files": files}, indent=1)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def fault(folder: Path, *, hashed: bool = True) -> str | None:
    """What is wrong with a sealed folder, in words; None where it is as it was sealed.

    Args:
        hashed: read every file. Else a large one whose time and inode are known is believed.

    Raises:
        Refused: a file may not be read.
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
            rule="a folder whose files may be read",
            way_out="another user's mode for the file, or store.dir=FOLDER",
        ) from error
    except FileNotFoundError as error:
        return f"{Path(str(error.filename)).name} is missing"
    except (IsADirectoryError, NotADirectoryError):
        return "a file and a folder have changed places"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return f"{MANIFEST} has other content"
    return None


def check(folder: Path, *, hashed: bool = True) -> None:
    """`fault`, raised.

    Raises:
        Damaged: a file is not as it was sealed.
    """
    found = fault(folder, hashed=hashed)
    if found is not None:
        raise Damaged(folder, found)


def _recorded(folder: Path) -> dict[str, tuple[_Stamp, str]]:
    """What the manifest says of each file."""
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
    if manifest["of"] != folder.name:
        raise ValueError("the manifest of another folder")
    return {
        name: (_Stamp(said["size"], said["mtime_ns"], said["inode"]), said["sha256"])
        for name, said in manifest["files"].items()
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
    """A file is read once per process as long as nobody touches it, also where it is renamed."""
    stat = path.stat()
    same = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    if same not in _digests:
        with path.open("rb") as file:
            _digests[same] = hashlib.file_digest(file, "sha256").hexdigest()
    return _digests[same]


def _files(folder: Path) -> list[str]:
    """The names of a folder's files, but for hidden ones and what a manifest does not record."""
    found = []
    for parent, _, names in os.walk(folder, onerror=_raise):
        found += [Path(parent, name) for name in names if not name.startswith(".")]
    within = sorted(path.relative_to(folder).as_posix() for path in found if path.is_file())
    return [name for name in within if name not in (MANIFEST, *CHECKPOINTS)]


def _raise(error: OSError) -> None:
    raise error


# --- made, set aside, removed ---------------------------------------------------------------


def provide(target: Path, make: Callable[[Path], None], *, say: Say) -> None:
    """See that `target` is there and whole: found, or made now.

    Two processes that need it do not make it side by side.

    Args:
        make: fills an empty folder; beside it there is room for what is not kept.
        say: told what was damaged, and what is waited for.

    Raises:
        Refused: a file may not be read.
    """
    if fault(target) is None:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with claimed(
        lock_of(target), waiting=lambda: say(f"  another process prepares this; waiting: {target}")
    ):
        if not found_whole(target, say=say):
            with _made(target) as folder:
                make(folder)


def lock_of(target: Path) -> Path:
    """Held by whoever makes `target`."""
    return target.with_name(f"{target.name}.lock")


@contextmanager
def _made(target: Path) -> Iterator[Path]:
    """An empty folder, which is sealed in the end and takes the target's name."""
    scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix=f"{_SCRATCH}{target.name}-"))
    try:
        folder = scratch / "made"
        folder.mkdir()
        yield folder
        seal(folder, name=target.name)
        os.replace(folder, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def found_whole(target: Path, *, say: Say) -> bool:
    """Whether `target` is there and whole; what is damaged is named and set aside.

    For whoever holds its lock.
    """
    if not os.path.lexists(target):
        return False
    found = fault(target)
    if found is not None:
        set_aside(target, found, say=say)
    return found is None


def set_aside(path: Path, why: str, *, say: Say) -> None:
    """Move what is damaged to `<store>/damaged/<kind>`, for whoever holds its lock."""
    folder = path.parent.parent / "damaged" / path.parent.name
    target, count = folder / path.name, 1
    while os.path.lexists(target):
        count += 1
        target = folder / f"{path.name}-{count}"
    folder.mkdir(parents=True, exist_ok=True)
    # Told first: who may not do it stops it here.
    say(f"{_DAMAGE}{path} is damaged: {why}. It is set aside in {target} and made again.")
    os.replace(path, target)


def is_damage(line: object) -> bool:
    """Whether a line that was said tells of damage."""
    return isinstance(line, str) and line.startswith(_DAMAGE)


def discard(folder: Path) -> None:
    """Remove a sealed folder; a kill on the way leaves scratch, and no half of it."""
    scratch = folder.with_name(f"{_SCRATCH}{folder.name}-{secrets.token_hex(4)}")
    try:
        os.replace(folder, scratch)
    except FileNotFoundError:
        return
    shutil.rmtree(scratch)


def sweep(store: Path) -> None:
    """Remove what killed processes left half made: that whose lock nobody holds."""
    for scratch in store.glob(f"*/{_SCRATCH}*"):
        name = scratch.name.removeprefix(_SCRATCH).rpartition("-")[0]
        _remove_if_free(scratch, lock_of(scratch.with_name(name)))
    for scratch in store.glob(f"*/*{UNFINISHED}/*.partial"):
        _remove_if_free(scratch, lock_of(scratch.parent.with_suffix("")))
    for name in CHECKPOINTS:
        for left in store.glob(f"*/*/{name}"):
            if left.parent.suffix != UNFINISHED:  # of a stage that was finished then
                _remove_if_free(left, lock_of(left.parent))


def _remove_if_free(scratch: Path, lock: Path) -> None:
    if not os.access(lock.parent, os.W_OK):
        return  # of a store that is only read
    with is_free(lock) as free:
        if free and scratch.is_dir():
            shutil.rmtree(scratch)
        elif free:
            scratch.unlink(missing_ok=True)
