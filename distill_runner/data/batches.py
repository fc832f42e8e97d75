"""Which rows make up which step: a function of (seed, epoch, step)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from distill_runner.config.schema import Batching
from distill_runner.runtime.seeding import generator_at

# Rows of this many batches are sorted together: long enough to leave hardly any padding,
# short enough that a batch's company changes every epoch.
_WINDOW = 200


@dataclass(frozen=True)
class Order:
    """The order of the training rows.

    Args:
        lengths: tokens of each row, as the student reads it.
        batch_size: rows of a batch; the last one of an epoch may be short.
        seed: of the run.
        batching: by_length puts sentences of like length in a batch, random does not.
    """

    lengths: np.ndarray
    batch_size: int
    seed: int
    batching: Batching

    @property
    def batches_per_epoch(self) -> int:
        return -(-len(self.lengths) // self.batch_size)

    def epoch(self, epoch: int) -> list[np.ndarray]:
        """The rows of each batch of `epoch`; every row occurs once."""
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
    """The quiz rows of one step: all, or `size` drawn without replacement."""
    if size is None or size >= total:
        return np.arange(total)
    return generator_at(seed, "quiz", epoch, step).choice(total, size=size, replace=False)
