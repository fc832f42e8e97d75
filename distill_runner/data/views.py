"""Provides views of encoded rows: noisy ones and selections (`masking` has masked ones)."""

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
    """The view with noise: every row gets new noise in every epoch, before tokenising."""

    clean: Encoding
    table: Dataset
    noise: Noise
    seed: int

    @property
    def lengths(self) -> np.ndarray:
        """[rows], tokens of each row without noise."""
        return self.clean.lengths

    def inputs(self, rows: np.ndarray, epoch: int, copies: np.ndarray | None = None) -> Inputs:
        """Return the padded inputs of `rows` in `epoch`.

        Args:
            rows: [batch], positions.
            copies: [batch], the index of each copy of a row, from 0; None if no row is repeated.
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
    """Selected rows of another view, in any order and possibly repeated.

    If the other view is noisy, every copy of a row has its own noise.
    """

    whole: Encoding | NoisyView
    positions: np.ndarray  # into `whole`

    @property
    def lengths(self) -> np.ndarray:
        """[rows], tokens of each selected row without noise."""
        lengths: np.ndarray = self.whole.lengths[self.positions]
        return lengths

    @cached_property
    def copies(self) -> np.ndarray:
        """[rows], the number of earlier copies of each row."""
        order = np.argsort(self.positions, kind="stable")
        _, first, counts = np.unique(self.positions[order], return_index=True, return_counts=True)
        copies = np.empty(len(order), dtype=np.int64)
        copies[order] = np.arange(len(order)) - np.repeat(first, counts)
        return copies

    def inputs(self, rows: np.ndarray, epoch: int) -> Inputs:
        """Return the padded inputs of the selected `rows` in `epoch`."""
        return self.whole.inputs(self.positions[rows], epoch, self.copies[rows])
