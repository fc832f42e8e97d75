"""Locks between the processes that share a store; a killed holder lets go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

_PATIENCE = 2.0  # seconds that are waited without a word


@contextmanager
def claimed(
    path: Path, *, waiting: Callable[[], None], patience: float = _PATIENCE
) -> Iterator[None]:
    """Inside, the lock is held.

    Args:
        waiting: called once where another process holds it.
        patience: seconds before that.
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
    """Whether nobody held the lock; inside it is held then."""
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
