"""Stores a learner's logits over a table of rows, and looks them up by row id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distill_runner.errors import DistillError
from distill_runner.storage.integrity import Say, fault, provide


@dataclass(frozen=True)
class StoredLogits:
    """Logits by row id.

    Args:
        ids: [rows], sorted; fixed-width UTF-8 bytes, memory-mapped.
        logits: [rows, classes] float32 in the order of `ids`, memory-mapped.
    """

    ids: np.ndarray
    logits: np.ndarray

    def of(self, ids: Sequence[str]) -> np.ndarray:
        """Return the logits of these rows. [len(ids), classes].

        Raises:
            DistillError: a row has no stored logits.
        """
        wanted = np.array([row.encode() for row in ids])
        at, found = self._find(wanted)
        if not found.all():
            row = wanted[~found][0].decode()
            raise DistillError(f"The stored logits have no row with the id {row!r}.")
        return np.ascontiguousarray(self.logits[at])

    def has(self, ids: Sequence[str]) -> np.ndarray:
        """Return whether each of these rows has logits. [len(ids)]."""
        return self._find(np.array([row.encode() for row in ids]))[1]

    def _find(self, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the position of each id, and whether it is there. [ids] each."""
        if not len(self.ids):
            return np.zeros(len(wanted), dtype=np.int64), np.zeros(len(wanted), dtype=bool)
        at = np.minimum(np.searchsorted(self.ids, wanted), len(self.ids) - 1)
        return at, self.ids[at] == wanted


def load(folder: Path) -> StoredLogits | None:
    """Load the logits stored in `folder`, memory-mapped; None if they are missing or damaged."""
    if fault(folder) is not None:
        return None
    ids = np.load(folder / "ids.npy", mmap_mode="r", allow_pickle=False)
    logits = np.load(folder / "logits.npy", mmap_mode="r", allow_pickle=False)
    return StoredLogits(ids, logits)


def save(folder: Path, ids: Sequence[str], logits: np.ndarray, *, say: Say = print) -> StoredLogits:
    """Store the logits of these rows in `folder`, atomically.

    If another process stored them first, its copy stays; both are equal.
    """
    names = np.array([row.encode() for row in ids], dtype=np.bytes_)
    order = np.argsort(names, kind="stable")

    def write(made: Path) -> None:
        np.save(made / "ids.npy", names[order], allow_pickle=False)
        np.save(made / "logits.npy", logits[order].astype(np.float32), allow_pickle=False)

    provide(folder, write, say=say)
    found = load(folder)
    assert found is not None
    return found


def merge(parts: Sequence[StoredLogits]) -> StoredLogits:
    """Concatenate the logits of one model on several splits."""
    if len(parts) == 1:
        return parts[0]
    ids = np.concatenate([part.ids for part in parts])
    order = np.argsort(ids, kind="stable")
    return StoredLogits(ids[order], np.concatenate([part.logits for part in parts])[order])
