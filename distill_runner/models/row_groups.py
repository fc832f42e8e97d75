"""Splits a batch into groups of rows that a classifier can read together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from distill_runner.data.encoding import Inputs
from distill_runner.models.architecture import families

Forward = Callable[[Inputs], Tensor]  # -> [heads, rows, classes]


def _group_numbers(module: Any, inputs: Inputs) -> Tensor | None:
    """Return a number for each row; rows with the same number can share a batch; None: all can.

    Rows of different lengths share a batch only if padding is known not to change an output.
    """
    mask = inputs["attention_mask"]
    if not families.fits(module, families.PADDING):
        return mask.sum(1)
    if families.counts_ends(module):
        return (inputs["input_ids"].eq(module.config.eos_token_id) & mask.bool()).sum(1)
    return None


def read_apart(module: Any, forward: Forward, inputs: Inputs) -> Tensor:
    """Run `forward` on the batch, in as many parts as the module needs.

    Returns:
        [heads, rows, classes], in the batch's order.
    """
    numbers = _group_numbers(module, inputs)
    if numbers is None:
        return forward(inputs)
    groups = [(numbers == number).nonzero().squeeze(1) for number in torch.unique(numbers)]
    logits = [forward(_select(inputs, rows)) for rows in groups]
    return torch.cat(logits, dim=1).index_select(1, torch.cat(groups).argsort())


def _select(inputs: Inputs, rows: Tensor) -> Inputs:
    """Return the inputs of these rows, cut to the longest of them."""
    width = int(inputs["attention_mask"][rows].sum(1).max())
    return {name: values[rows, :width] for name, values in inputs.items()}
