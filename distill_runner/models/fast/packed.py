"""Reads a batch without padding: its rows are concatenated into one long row.

Embeddings, linear layers and LayerNorm work on each token by itself, so they then compute real
tokens only. Attention must know where each row ends; it takes the rows in groups of similar length.
Logits and gradients equal those of the padded batch. With dropout on, the masks have a different
shape, so the same seed gives different masks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distill_runner.data.encoding import Inputs
from distill_runner.models.architecture import families
from distill_runner.models.fast import attention

# Rows in one attention group: few enough for similar lengths, enough for large products.
_GROUP = 11
# Packing is faster if there are at least this many padded tokens per real token.
_WASTE = 1.15

Attend = Callable[[Tensor, Tensor, Tensor, "Tensor | None"], Tensor]


@dataclass(frozen=True)
class Group:
    """Neighbouring rows in the packed order, shortest first."""

    rows: slice  # of the packed order
    mask: Tensor | None  # [rows, longest], True at tokens; None if all rows are equally long


@dataclass(frozen=True)
class Packing:
    """Where each row of a batch lies in the long row."""

    order: Tensor  # [rows], the batch's row numbers in packed order
    firsts: Tensor  # [rows], in packed order: where each row's first token lies
    groups: tuple[Group, ...]
    shapes: tuple[tuple[int, ...], ...]  # rows and width of each group
    # The groups' padded rows, concatenated, have more slots than there are tokens.
    origins: Tensor | None  # [slots], which token fills each slot; None if no row is padded
    places: Tensor | None  # [tokens], the slot of each token

    @classmethod
    def of(cls, lengths: np.ndarray) -> Packing:
        """Pack rows in order of length.

        Args:
            lengths: [rows], tokens of each row.
        """
        order = np.argsort(lengths, kind="stable")
        sizes = lengths[order]
        firsts = np.cumsum(sizes) - sizes
        groups, shapes, origins, real = [], [], [], []
        for rows in np.array_split(np.arange(len(sizes)), -(-len(sizes) // _GROUP)):
            width = int(sizes[rows[-1]])
            token = np.arange(width) < sizes[rows][:, None]
            mask = None if token.all() else torch.from_numpy(token)
            groups.append(Group(slice(int(rows[0]), int(rows[-1]) + 1), mask))
            shapes.append(token.shape)
            # Slots without a token may hold any token: none attends to them.
            origins.append((firsts[rows][:, None] + np.arange(width) * token).ravel())
            real.append(token.ravel())
        padded = any(group.mask is not None for group in groups)
        return cls(
            torch.from_numpy(order),
            torch.from_numpy(firsts),
            tuple(groups),
            tuple(shapes),
            torch.from_numpy(np.concatenate(origins)) if padded else None,
            torch.from_numpy(np.flatnonzero(np.concatenate(real))) if padded else None,
        )

    def split(self, long: Tensor) -> list[Tensor]:
        """Split [tokens of all rows, …] into one [rows, width, …] per group."""
        # The backward of index_select is several times faster than that of indexing.
        spread = long if self.origins is None else long.index_select(0, self.origins)
        parts = torch.split(spread, [rows * width for rows, width in self.shapes])
        return [
            part.view(*shape, *part.shape[1:])
            for part, shape in zip(parts, self.shapes, strict=True)
        ]

    def join(self, parts: list[Tensor]) -> Tensor:
        """Join one [rows, width, …] per group into [tokens of all rows, …]; reverses `split`."""
        spread = torch.cat([part.flatten(0, 1) for part in parts])
        return spread if self.places is None else spread.index_select(0, self.places)

    def attend(self, of_group: Attend, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Let each row attend to itself.

        Args:
            of_group: attention over one group's padded rows.
            query, key, value: [1, heads, tokens, size].

        Returns:
            [1, tokens, heads, size].
        """
        found = []
        queries, keys, values = (
            self.split(part.squeeze(0).transpose(0, 1)) for part in (query, key, value)
        )
        for group, *each in zip(self.groups, queries, keys, values, strict=True):
            mask = None if group.mask is None else group.mask[:, None, None]
            q, k, v = (part.transpose(1, 2) for part in each)
            found.append(of_group(q, k, v, mask))
        return self.join(found)[None]

    def unsorted(self, packed: Tensor, *, dim: int = 0) -> Tensor:
        """Put the rows along `dim` from packed order back into the batch's order."""
        return packed.index_select(dim, self.order.argsort())


@dataclass(frozen=True)
class Packer:
    """Packs the batches of one classifier if that is faster."""

    first_position: int  # the position number of the first token; RoBERTa's is the padding id + 1

    @classmethod
    def of(cls, module: Any) -> Packer | None:
        """Return a packer; None if the module's attention cannot be replaced."""
        if not attention.take_over(module):
            return None
        return cls(families.first_position(module.config))

    def pack(self, inputs: Inputs) -> tuple[dict[str, Any], Packing] | None:
        """Return packed arguments for the module and their packing; None if it is not faster."""
        mask = inputs["attention_mask"]
        if mask.device.type != "cpu" or mask.shape[0] < 2:
            return None
        lengths = mask.sum(1).numpy()
        if mask.numel() < _WASTE * lengths.sum():
            return None
        packing = Packing.of(lengths)
        real = mask[packing.order].bool()
        long = {
            name: values[packing.order][real][None]
            for name, values in inputs.items()
            if name != "attention_mask"
        }
        places = torch.arange(mask.shape[1]).expand_as(mask)[real][None]
        return {**long, "position_ids": places + self.first_position, "packing": packing}, packing
