"""Checkpoints of a stage in training: what is needed to resume bit for bit, and nothing else.

A checkpoint holds weights, optimisers and counters. Random draws are functions of seed and step,
so no generator state is stored. The last 32 bytes of a file are the SHA-256 of the rest.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import torch

from distill_runner.storage.disk import find_os_error
from distill_runner.storage.integrity import Damaged

_FIRST = 10.0  # seconds before the first checkpoint, whose cost is unknown
_BLOCK_BYTES = 1 << 20
_SHARE = 0.01  # checkpoints take at most this share of the training time

State = dict[str, Any]  # tensors, numbers, strings, and dicts and lists of them


def save(path: Path, state: State) -> None:
    """Write `state` atomically: a kill at any moment leaves the old file or the new one."""
    partial = path.with_suffix(".partial")
    try:
        with partial.open("wb") as file:
            hashed = _Hashed(path, file)
            torch.save(state, hashed)  # type: ignore[arg-type]
            file.write(hashed.sha256.digest())
            file.flush()
            os.fsync(file.fileno())
    except (OSError, RuntimeError) as error:  # torch raises RuntimeError on a full disk
        partial.unlink(missing_ok=True)
        cause = find_os_error(error)
        if cause is None:
            raise
        raise OSError(cause.errno, cause.strerror, str(path)) from error
    os.replace(partial, path)


def load(path: Path, device: torch.device) -> State | None:
    """Return the state in `path`, or None if there is no file.

    Raises:
        Damaged: the file is not as it was written.
    """
    if not os.path.lexists(path):
        return None
    check(path)
    try:
        state: State = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch.load raises whatever its parsers raise
        raise Damaged(path, f"it cannot be read ({type(error).__name__})") from error
    return state


def check(path: Path) -> None:
    """Compare the file with the digest at its end.

    Raises:
        Damaged: they differ, or there is no file.
    """
    digest = _digest_for(path)
    try:
        with path.open("rb") as file:
            left = max(0, os.fstat(file.fileno()).st_size - digest.digest_size)
            while left:
                block = file.read(min(left, _BLOCK_BYTES))
                left -= len(block)
                digest.update(block)
            written = file.read()
    except (FileNotFoundError, IsADirectoryError) as error:
        raise Damaged(path, "it is not a file") from error
    if written != digest.digest():
        raise Damaged(path, "it has other content")


class _Hashed:
    """A writable file that hashes what passes through it."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.sha256 = _digest_for(path)
        self._file = file

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def _digest_for(path: Path) -> hashlib._Hash:
    # The path is hashed too, so another stage's intact checkpoint is not taken for this one.
    return hashlib.sha256(f"{path.parent.name}/{path.name}\n".encode())


class Pace:
    """Decides when the next checkpoint is due: the cheaper the last one, the sooner.

    Args:
        longest: most seconds between two checkpoints, however expensive they are.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._after = min(longest, _FIRST)
        self._saved = time.monotonic()

    def is_due(self) -> bool:
        """Return whether another checkpoint is due."""
        return time.monotonic() - self._saved > self._after

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Time the checkpoint that is written inside."""
        began = time.monotonic()
        yield
        self._saved = time.monotonic()
        self._after = min(self._longest, (self._saved - began) / _SHARE)
