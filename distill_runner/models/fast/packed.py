"""A batch read without its padding: the rows stand one after the other in a single long row.

What works on each token by itself, the embeddings, the linear layers, LayerNorm, then
works on tokens alone; only the attention must know where a row ends, and takes the rows
in groups of like length. Logits and gradients are those of the padded batch; with dropout
on, the masks have another shape, so a seed draws others.
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

# Rows that attend together: few enough to have one length nearly, enough for large products.
_GROUP = 11
# Padded tokens for each real one from which on packing pays.
_WASTE = 1.15

Attend = Callable[[Tensor, Tensor, Tensor, "Tensor | None"], Tensor]


@dataclass(frozen=True)
class Group:
    """Neighbouring rows, the shortest first."""

    rows: slice  # of the packed order
    mask: Tensor | None  # [rows, width of the longest], True at a token; None: all are as long


@dataclass(frozen=True)
class Packing:
    """Where each row of a batch lies."""

    order: Tensor  # [rows], the row of the batch that stands at each place
    firsts: Tensor  # [rows], in that order: the place of its first token
    groups: tuple[Group, ...]
    shapes: tuple[tuple[int, ...], ...]  # rows and width of each group
    # The groups' padded rows, all one after the other, have more places than there are tokens:
    origins: Tensor | None  # [places], the token that stands there; None: no row is padded
    places: Tensor | None  # [tokens], where each stands

    @classmethod
    def of(cls, lengths: np.ndarray) -> Packing:
        """The rows sorted by length. lengths: [rows], tokens of each."""
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
            # Where there is no token, any will do: no one attends to it.
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
        """[tokens of all rows, …] → [rows, width, …] of every group."""
        # index_select, because its gradient is added up several times faster than an index's.
        spread = long if self.origins is None else long.index_select(0, self.origins)
        parts = torch.split(spread, [rows * width for rows, width in self.shapes])
        return [
            part.view(*shape, *part.shape[1:])
            for part, shape in zip(parts, self.shapes, strict=True)
        ]

    def join(self, parts: list[Tensor]) -> Tensor:
        """The way back: [rows, width, …] of every group → [tokens of all rows, …]."""
        spread = torch.cat([part.flatten(0, 1) for part in parts])
        return spread if self.places is None else spread.index_select(0, self.places)

    def attend(self, of_group: Attend, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Each row's attention to itself.

        Args:
            of_group: attention over padded rows.
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
        """What has the rows along `dim`, in the packed order → in the batch's."""
        return packed.index_select(dim, self.order.argsort())


@dataclass(frozen=True)
class Packer:
    """Packs the batches of one classifier where that pays."""

    first_position: int  # RoBERTa counts from the padding id on

    @classmethod
    def of(cls, module: Any) -> Packer | None:
        """None for a module whose attention is not ours to replace."""
        if not attention.take_over(module):
            return None
        return cls(families.first_position(module.config))

    def pack(self, inputs: Inputs) -> tuple[dict[str, Any], Packing] | None:
        """What the module is called with in place of `inputs`; None where padding costs little."""
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
