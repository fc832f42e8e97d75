"""Dropout on a CPU, its masks drawn sixteen bits a number.

torch draws a double for each element and keeps it with probability 1 - p, one element
after the other: of all that is not a matrix product, the dearest part of a training step.
Here one 64-bit draw decides four elements. The probability is rounded to a 65536th and the
scale goes with it, so the expectation stays exact; the masks come from torch's own
generator, in another order than torch would draw them.

Attention weights have dropout too, inside a kernel that on a CPU then is the plain product
anyway. It is spelled out here, with these masks; where there is nothing to drop, torch's
fused kernel stays.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

ATTENTION = "distill_runner_cpu"  # its name among transformers' attention functions
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
        return drop(hidden, self.p) if self.training else hidden


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Softmax attention, as transformers calls it.

    Args:
        module: the layer that asks.
        query: [batch, heads, queries, head size].
        key, value: [batch, heads, tokens, head size].
        attention_mask: [batch, 1, queries, tokens], True where attended to; None: everywhere.
        dropout: share of the attention weights set to zero.
        scaling: of the scores; None: head size to the power -1/2.

    Returns:
        [batch, queries, heads, head size], and no weights.
    """
    if not dropout or query.device.type != "cpu":
        kept: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout, scaling, **others
        )
        return kept
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = (query * scale) @ key.transpose(-1, -2)
    if attention_mask is not None:
        scores = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
    exact = torch.promote_types(scores.dtype, torch.float32)
    weights = drop(scores.softmax(-1, dtype=exact).to(value.dtype), dropout)
    return (weights @ value).transpose(1, 2).contiguous(), None


AttentionInterface.register(ATTENTION, attend)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)


def draw_cheaply(module: Any) -> None:
    """Let every dropout of a transformers encoder draw this way from now on.

    Nothing changes in a model that chose its attention itself, or that reads left to right.
    """
    config = module.config
    if config._attn_implementation != "sdpa" or getattr(config, "is_decoder", False):
        return
    module.set_attn_implementation(ATTENTION)
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Dropout:
                setattr(parent, name, Dropout(child.p).train(child.training))
