"""Draws dropout masks on a CPU with sixteen bits per element.

torch draws a double for each element, one after the other; apart from matrix products this is the
most expensive part of a training step. Here one 64-bit draw decides four elements. The probability
is rounded to a multiple of 1/65536 and the scale follows it, so the expectation stays exact. The
masks come from torch's generator, but differ from torch's for the same seed. Attention weights
are dropped the same way (`attention`).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from distill_runner.models.fast import attention

_LEVELS = 1 << 16


def drop(hidden: Tensor, p: float) -> Tensor:
    """Set a share `p` of the elements, 0..1, to zero and scale up the rest."""
    dropped = round(p * _LEVELS)
    if hidden.device.type != "cpu" or not 0 < dropped < _LEVELS:
        return nn.functional.dropout(hidden, p)
    count = hidden.numel()
    # Read as signed 16-bit numbers, 64 random bits are uniform over -2^15 … 2^15 - 1.
    drawn = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(1 << 63), None)
    bits = drawn.view(torch.int16)[:count].view(hidden.shape)
    keep = torch.empty(hidden.shape, dtype=hidden.dtype)
    torch.ge(bits, dropped - _LEVELS // 2, out=keep)
    return hidden * keep.mul_(_LEVELS / (_LEVELS - dropped))


class Dropout(nn.Dropout):
    """torch's dropout with the cheaper mask."""

    def forward(self, hidden: Tensor) -> Tensor:
        """Drop elements of `hidden` during training."""
        return drop(hidden, self.p) if self.training else hidden


def draw_cheaply(module: Any) -> None:
    """Replace every dropout module of a transformers encoder by the cheaper one.

    Nothing changes in a model whose attention cannot be replaced (`attention.take_over`).
    """
    if not attention.take_over(module):
        return
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Dropout:
                setattr(parent, name, Dropout(child.p).train(child.training))
