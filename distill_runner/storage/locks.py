"""Locks processes that share a store; the system releases the locks of killed processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

_PATIENCE = 2.0  # seconds to wait silently


@contextmanager
def hold_lock(
    path: Path, *, waiting: Callable[[], None], patience: float = _PATIENCE
) -> Iterator[None]:
    """Hold the lock inside the block.

    Args:
        path: the lock file.
        waiting: called once if another process still holds the lock after `patience`.
        patience: seconds to wait silently.
    """
    lock = FileLock(path)
    try:
        lock.acquire(timeout=patience)
    except Timeout:
        waiting()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def is_free(path: Path) -> Iterator[bool]:
    """Yield whether the lock was free; if it was, hold it inside the block."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
