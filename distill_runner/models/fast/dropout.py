"""Dropout on a CPU, its masks drawn sixteen bits a number.

torch draws a double for each element and keeps it with probability 1 - p, one element
after the other: of all that is not a matrix product, the dearest part of a training step.
Here one 64-bit draw decides four elements. The probability is rounded to a 65536th and the
scale goes with it, so the expectation stays exact; the masks come from torch's own
generator, in another order than torch would draw them. The weights of the attention are
dropped alike (`attention`).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from distill_runner.models.fast import attention

_LEVELS = 1 << 16


def drop(hidden: Tensor, p: float) -> Tensor:
    """`hidden` with a share `p` of its elements, 0..1, set to zero and the rest scaled up."""
    dropped = round(p * _LEVELS)
    if hidden.device.type != "cpu" or not 0 < dropped < _LEVELS:
        return nn.functional.dropout(hidden, p)
    count = hidden.numel()
    # All 64 bits; as signed 16-bit numbers they are even over -2^15 … 2^15 - 1.
    drawn = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(1 << 63), None)
    bits = drawn.view(torch.int16)[:count].view(hidden.shape)
    keep = torch.empty(hidden.shape, dtype=hidden.dtype)
    torch.ge(bits, dropped - _LEVELS // 2, out=keep)
    return hidden * keep.mul_(_LEVELS / (_LEVELS - dropped))


class Dropout(nn.Dropout):
    """torch's, with the cheaper mask."""

    def forward(self, hidden: Tensor) -> Tensor:
        """Drop elements of `hidden` during training."""
        return drop(hidden, self.p) if self.training else hidden


def draw_cheaply(module: Any) -> None:
    """Let every dropout of a transformers encoder draw this way from now on.

    Nothing changes in a model whose attention is not ours to replace (`attention.take_over`).
    """
    if not attention.take_over(module):
        return
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Dropout:
                setattr(parent, name, Dropout(child.p).train(child.training))
