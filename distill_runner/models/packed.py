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
from distill_runner.models import attention

# Rows that attend together: few enough to have one length nearly, enough for large products.
_GROUP = 11
# Padded tokens for each real one from which on packing pays.
_WASTE = 1.15

Attend = Callable[[Tensor, Tensor, Tensor, "Tensor | None"], Tensor]


@dataclass(frozen=True)
class _Group:
    """Neighbouring rows, the shortest first."""

    rows: slice  # of the packed order
    tokens: slice  # of the long row
    width: int  # of the longest
    index: Tensor | None  # [rows, width] into the group's tokens; None: all have one length
    mask: Tensor | None  # [rows, width], True where there is a token

    def spread(self, long: Tensor) -> Tensor:
        """[1, heads, tokens, size] of the whole batch → [rows, heads, width, size]."""
        own = long[0, :, self.tokens]
        if self.index is None:
            return own.reshape(own.shape[0], -1, self.width, own.shape[-1]).transpose(0, 1)
        return own[:, self.index].transpose(0, 1)

    def gather(self, spread: Tensor) -> Tensor:
        """[rows, width, heads, size] → [tokens, heads, size]."""
        return spread.flatten(0, 1) if self.mask is None else spread[self.mask]


@dataclass(frozen=True)
class Packing:
    """Where each row of a batch lies."""

    order: Tensor  # [rows], the row of the batch that stands at each place
    firsts: Tensor  # [rows], in that order: the place of its first token
    groups: tuple[_Group, ...]

    @classmethod
    def of(cls, lengths: np.ndarray) -> Packing:
        """The rows sorted by length. lengths: [rows], tokens of each."""
        order = np.argsort(lengths, kind="stable")
        sizes = lengths[order]
        ends = np.cumsum(sizes)
        cuts = np.array_split(np.arange(len(sizes)), -(-len(sizes) // _GROUP))
        groups = tuple(_group(rows[0], rows[-1] + 1, sizes, ends) for rows in cuts)
        return cls(torch.from_numpy(order), torch.from_numpy(ends - sizes), groups)

    def attend(self, of_group: Attend, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Each row's attention to itself.

        Args:
            of_group: attention over padded rows.
            query: [1, heads, tokens, size], or of every row's first token alone
                [rows, heads, 1, size].
            key, value: [1, heads, tokens, size].

        Returns:
            [1, tokens, heads, size], or [rows, 1, heads, size].
        """
        first_only = query.shape[0] == len(self.order)
        parts = []
        for group in self.groups:
            mask = None if group.mask is None else group.mask[:, None, None]
            asked = query[group.rows] if first_only else group.spread(query)
            found = of_group(asked, group.spread(key), group.spread(value), mask)
            parts.append(found if first_only else group.gather(found))
        return torch.cat(parts) if first_only else torch.cat(parts)[None]

    def unsorted(self, packed: Tensor) -> Tensor:
        """[rows, …] in the packed order → in the batch's."""
        return packed[self.order.argsort()]


def _group(start: int, stop: int, sizes: np.ndarray, ends: np.ndarray) -> _Group:
    own = sizes[start:stop]
    width, begin = int(own[-1]), int(ends[start] - sizes[start])
    rows, tokens = slice(int(start), int(stop)), slice(begin, int(ends[stop - 1]))
    if own[0] == width:
        return _Group(rows, tokens, width, None, None)
    places = np.arange(width)
    mask = places < own[:, None]
    index = np.where(mask, (ends[start:stop] - own - begin)[:, None] + places, 0)
    return _Group(rows, tokens, width, torch.from_numpy(index), torch.from_numpy(mask))


@dataclass(frozen=True)
class Packer:
    """Packs the batches of one classifier where that pays."""

    first_position: int  # RoBERTa counts from the padding id on

    @classmethod
    def of(cls, module: Any) -> Packer | None:
        """None for a module whose attention is not ours to replace."""
        if not attention.take_over(module):
            return None
        counts_from_padding = module.config.model_type == "roberta"
        return cls(module.config.pad_token_id + 1 if counts_from_padding else 0)

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
