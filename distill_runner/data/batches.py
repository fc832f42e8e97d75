"""Assigns rows to training steps as a function of (seed, epoch, step)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from distill_runner.config.schema import Batching
from distill_runner.runtime.seeding import generator_at

# Rows are sorted by length within windows of this many batches: large enough for little padding,
# small enough that batches differ between epochs.
_WINDOW = 200


@dataclass(frozen=True)
class Order:
    """The order of the training rows in every epoch.

    Args:
        lengths: [rows], tokens of each row in the student's encoding.
        batch_size: rows per batch; one batch of an epoch may be shorter.
        seed: the run's seed.
        batching: by_length groups rows of similar length into batches, random does not.
    """

    lengths: np.ndarray
    batch_size: int
    seed: int
    batching: Batching

    @property
    def batches_per_epoch(self) -> int:
        """The number of batches per epoch, including a shorter one."""
        return -(-len(self.lengths) // self.batch_size)

    def epoch(self, epoch: int) -> list[np.ndarray]:
        """Return the rows of each batch of `epoch`; every row occurs exactly once."""
        generator = generator_at(self.seed, "order", epoch)
        rows = generator.permutation(len(self.lengths))
        if self.batching is Batching.by_length:
            window = _WINDOW * self.batch_size
            parts = [rows[at : at + window] for at in range(0, len(rows), window)]
            rows = np.concatenate(
                [part[np.argsort(self.lengths[part], kind="stable")] for part in parts]
            )
        size = self.batch_size
        batches = [rows[at : at + size] for at in range(0, len(rows), size)]
        if self.batching is Batching.by_length:
            batches = [batches[at] for at in generator.permutation(len(batches))]
        return batches


def quiz_rows(total: int, size: int | None, *, seed: int, epoch: int, step: int) -> np.ndarray:
    """Return the quiz rows of one step: all rows, or `size` of them drawn without replacement."""
    if size is None or size >= total:
        return np.arange(total)
    return generator_at(seed, "quiz", epoch, step).choice(total, size=size, replace=False)
