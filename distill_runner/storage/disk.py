"""Turns file system errors into messages that name the file, its folder and the free space."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from distill_runner.errors import DistillError, Refused

# The folders of a run by their keys, such as "store.dir".
Places = Mapping[str, Path]

_FULL = (errno.ENOSPC, errno.EDQUOT)
_UNFIT = (
    *(errno.EROFS, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ENOTDIR),
    *(errno.EEXIST, errno.ELOOP, errno.EISDIR),
)
# Native libraries raise exceptions that carry only the text of the error.
_MESSAGES = {os.strerror(number): number for number in (*_FULL, *_UNFIT, errno.EFBIG, errno.EIO)}
_KEPT = "finished stages are kept; run the same command again to continue"


def find_os_error(raised: BaseException | None) -> OSError | None:
    """Return the operating system error that `raised` is, was caused by or mentions, or None."""
    seen: set[int] = set()
    caused = True
    while raised is not None and id(raised) not in seen:
        if isinstance(raised, OSError) and (caused or raised.errno in _MESSAGES.values()):
            return raised
        for words, number in _MESSAGES.items():
            if words in str(raised):
                return OSError(number, words).with_traceback(raised.__traceback__)
        seen.add(id(raised))
        # An error that was merely being handled at the time counts only if it is about a disk.
        caused = raised.__cause__ is not None
        raised = raised.__cause__ or raised.__context__
    return None


def explain_os_error(error: OSError, places: Places) -> DistillError:
    """Explain an operating system error to the user.

    Args:
        error: the error.
        places: the folders that the run writes to.

    Returns:
        `Refused` if another setting would help, else `DistillError`.
    """
    places = {**places, "TMPDIR": Path(tempfile.gettempdir())}
    file = _file_of(error, places)
    key = _key_of_folder(file, places)
    what = f"{file or 'A file'} cannot be written: {_reason(error)}."
    if error.errno in _FULL:
        return _full(what, key, places)
    if error.errno == errno.EFBIG:
        return DistillError(
            f"{what}\n  try:  ulimit -f unlimited, or a file system that takes large files; {_KEPT}"
        )
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return DistillError(f"Too many files are open.\n  try:  ulimit -n 4096; {_KEPT}")
    root = key is not None and file is not None and not os.path.exists(places[key])
    if error.errno in _UNFIT or (error.errno == errno.ENOENT and root):
        return _unfit(what, key, places)
    reason = _reason(error)
    return DistillError(f"{reason[:1].upper()}{reason[1:]}: {file or error}\n  {_KEPT}")


def _reason(error: OSError) -> str:
    if error.errno in _FULL:
        return "the disk is full" if error.errno == errno.ENOSPC else "the disk quota is used up"
    message = error.strerror or str(error)
    return message[:1].lower() + message[1:]


def _full(what: str, key: str | None, places: Places) -> DistillError:
    keys = [key] if key is not None else list(places)
    lines = [f"  {name} = {str(places[name])!r}: {_free(places[name])}" for name in keys]
    there = f"{key}=FOLDER on another disk" if key != "TMPDIR" else "TMPDIR=FOLDER in front of it"
    other = there if key is not None else "store.dir=FOLDER or output_dir=FOLDER on another disk"
    return DistillError(
        "\n".join([what, *lines, f"  try:  make room there, or {other}", f"  {_KEPT}"])
    )


def _free(folder: Path) -> str:
    usage = shutil.disk_usage(_existing(folder))
    return f"{usage.free / 1e6:,.1f} MB of {usage.total / 1e6:,.0f} MB are free"


def _unfit(what: str, key: str | None, places: Places) -> Refused:
    return Refused(
        what,
        key=key,
        value=str(places[key]) if key is not None else None,
        rule="output_dir and store.dir are folders that can be written",
        way_out=f"{key}=FOLDER" if key is not None else "output_dir=FOLDER store.dir=FOLDER",
    )


def _file_of(error: OSError, places: Places) -> Path | None:
    if error.filename is not None:
        return Path(os.fsdecode(error.filename))
    return next(_files_being_written(error, places), None)


def _files_being_written(error: OSError, places: Places) -> Iterator[Path]:
    """Yield the files being written when the error was raised, innermost frame first.

    A failed write does not name its file, but the local variables of its callers do.
    """
    frames = []
    step = error.__traceback__
    while step is not None:
        frames.append(step.tb_frame)
        step = step.tb_next
    for frame in reversed(frames):
        for value in frame.f_locals.values():
            name = getattr(value, "name", None) if hasattr(value, "write") else value
            if isinstance(name, str | Path) and name and _lies_in(Path(name), places):
                yield Path(name)


def _lies_in(file: Path, places: Places) -> bool:
    whole = Path(os.path.abspath(file))
    return any(place in whole.parents for place in _absolute(places).values())


def _key_of_folder(file: Path | None, places: Places) -> str | None:
    """Return the key of the innermost folder that contains the file."""
    if file is None:
        return None
    whole, roots = Path(os.path.abspath(file)), _absolute(places)
    found = [
        key
        for key, place in roots.items()
        if whole.is_relative_to(place) or place.is_relative_to(whole)
    ]
    return max(found, key=lambda key: len(str(roots[key])), default=None)


def _absolute(places: Places) -> Places:
    return {key: Path(os.path.abspath(place)) for key, place in places.items()}


def _existing(folder: Path) -> Path:
    folder = Path(os.path.abspath(folder))
    return next(one for one in (folder, *folder.parents) if os.path.lexists(one))
