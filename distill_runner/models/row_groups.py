"""Groups the rows of a batch that a classifier can read together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from distill_runner.data.encoding import Inputs
from distill_runner.models.architecture import families

Forward = Callable[[Inputs], Tensor]  # -> [heads, rows, classes]


def _kinds(module: Any, inputs: Inputs) -> Tensor | None:
    """A number for each row: those of one number can be read in one batch. None: all can.

    Rows of different lengths can where padding is known to change no answer.
    """
    mask = inputs["attention_mask"]
    if not families.fits(module, families.PADDING):
        return mask.sum(1)
    if families.counts_ends(module):
        return (inputs["input_ids"].eq(module.config.eos_token_id) & mask.bool()).sum(1)
    return None


def read_apart(module: Any, forward: Forward, inputs: Inputs) -> Tensor:
    """What `forward` makes of the batch, in as many parts as the module needs.

    Returns:
        [heads, rows, classes], in the batch's order.
    """
    kinds = _kinds(module, inputs)
    if kinds is None:
        return forward(inputs)
    parts = [(kinds == kind).nonzero().squeeze(1) for kind in torch.unique(kinds)]
    found = [forward(_only(inputs, rows)) for rows in parts]
    return torch.cat(found, dim=1).index_select(1, torch.cat(parts).argsort())


def _only(inputs: Inputs, rows: Tensor) -> Inputs:
    """These rows, as wide as the longest of them."""
    width = int(inputs["attention_mask"][rows].sum(1).max())
    return {name: values[rows, :width] for name, values in inputs.items()}
