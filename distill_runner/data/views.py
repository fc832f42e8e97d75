"""Views of encoded rows: noisy, or some of them alone (`masking` has the masked ones)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from distill_runner.config.schema import Noise
from distill_runner.data.encoding import Encoding, Inputs
from distill_runner.data.noise import noisy

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class NoisyView:
    """The noisy view: the noise of a row is drawn anew every epoch, then tokenised."""

    clean: Encoding
    table: Dataset
    noise: Noise
    seed: int

    @property
    def lengths(self) -> np.ndarray:
        return self.clean.lengths

    def inputs(self, rows: np.ndarray, epoch: int, copies: np.ndarray | None = None) -> Inputs:
        """The padded inputs of `rows` as read in `epoch`.

        Args:
            rows: [batch], positions.
            copies: [batch], which copy of its row each is, from 0 on; None: none is repeated.
        """
        batch = self.table[rows.tolist()]
        encoder = self.clean.encoder

        def with_noise(column: str) -> list[str]:
            return noisy(
                batch[column],
                row_ids=[f"{column}/{row}" for row in batch["id"]],
                epoch=epoch,
                seed=self.seed,
                noise=self.noise,
                mask_token=encoder.tokenizer.mask_token or encoder.tokenizer.unk_token,
                copies=None if copies is None else copies.tolist(),
            )

        pairs = with_noise("text_pair") if "text_pair" in batch else None
        columns = encoder.tokenize(with_noise("text"), pairs)
        return encoder.pad({k: [np.asarray(row) for row in v] for k, v in columns.items()})


@dataclass(frozen=True)
class ChosenView:
    """Some rows of another view, in an order of their own; a row may occur more than once.

    Where the other view is noisy, each copy of a row has noise of its own.
    """

    whole: Encoding | NoisyView
    positions: np.ndarray  # into `whole`

    @property
    def lengths(self) -> np.ndarray:
        lengths: np.ndarray = self.whole.lengths[self.positions]
        return lengths

    @cached_property
    def copies(self) -> np.ndarray:
        """[rows], how often each row has occurred before."""
        order = np.argsort(self.positions, kind="stable")
        _, first, counts = np.unique(self.positions[order], return_index=True, return_counts=True)
        copies = np.empty(len(order), dtype=np.int64)
        copies[order] = np.arange(len(order)) - np.repeat(first, counts)
        return copies

    def inputs(self, rows: np.ndarray, epoch: int) -> Inputs:
        return self.whole.inputs(self.positions[rows], epoch, self.copies[rows])
