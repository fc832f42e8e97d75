"""Computes softmax attention for transformers where torch's fused kernel does not apply.

With dropout on, torch computes the plain product on a CPU anyway; written out here, it uses the
layer's dropout module. A gradient in bfloat16 takes it too. Rows packed without padding attend
only to themselves (`packed`).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from distill_runner.models.architecture import families

if TYPE_CHECKING:
    from distill_runner.models.fast.packed import Packing

NAME = "distill_runner_cpu"  # the name of this attention function in transformers
# On a CPU the fused kernel's backward pass is the slower one in these formats.
PLAIN_WITH_GRADIENT = frozenset({torch.bfloat16})


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    packing: Packing | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Compute the attention of every query to the tokens of its row.

    Args:
        module: the attention layer; its `dropout` is applied to the attention weights.
        query: [batch, heads, queries, head size].
        key, value: [batch, heads, tokens, head size].
        attention_mask: [batch, 1, queries, tokens], True where attended to; None: everywhere.
        dropout: share of the attention weights set to zero, 0..1; 0 outside of training.
        scaling: factor on the scores; None: head size to the power -1/2.
        packing: where each row lies in one long row of tokens; None: rows are not packed.
        others: passed on to transformers' own attention.

    Returns:
        [batch, queries, heads, head size], and None in place of the weights.
    """
    if packing is not None:

        def of_group(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
            return attend(
                module, query, key, value, mask, dropout=dropout, scaling=scaling, **others
            )[0]

        return packing.attend(of_group, query, key, value), None
    slow_backward = query.requires_grad and query.dtype in PLAIN_WITH_GRADIENT
    if query.device.type != "cpu" or not (dropout or slow_backward):
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        kept: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout, scaling, **others
        )
        return kept
    return _plain(module, query, key, value, attention_mask, scaling), None


def _plain(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None,
) -> Tensor:
    """Compute softmax(q kᵀ · scaling) v with the layer's dropout. [batch, queries, heads, size]."""
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = (query * scale) @ key.transpose(-1, -2)
    if attention_mask is not None:
        scores = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
    exact = torch.promote_types(scores.dtype, torch.float32)
    weights = module.dropout(scores.softmax(-1, dtype=exact).to(value.dtype))
    found: Tensor = (weights @ value).transpose(1, 2).contiguous()
    return found


@cache
def _register() -> None:
    # Not at import: planning does not need transformers, which takes seconds to import.
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)


def take_over(module: Any) -> bool:
    """Make an encoder use `attend` from now on, and return whether it does.

    An architecture for which `attend` is not known to be right, a model with another attention
    implementation and a decoder stay unchanged.
    """
    config = module.config
    known = families.fits(module, families.OWN_ATTENTION)
    usual = config._attn_implementation in ("sdpa", NAME)
    if not (known and usual) or getattr(config, "is_decoder", False):
        return False
    _register()
    module.set_attn_implementation(NAME)
    return True
