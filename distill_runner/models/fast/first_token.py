"""Computes the last layer for the first token only.

A BERT-like classifier reads only the first token's state of its last layer. In that layer the
other tokens serve only as keys and values: their queries, outputs and feed-forward never reach the
logits. Leaving them out changes neither logits nor gradients; with dropout on, fewer masks are
drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from distill_runner.models.architecture.layers import layers_of
from distill_runner.models.fast import attention as attentions
from distill_runner.models.fast.packed import Packing

Forward = Callable[..., Tensor]  # (hidden [batch, tokens, width], mask) -> [batch, 1, width]


@dataclass(frozen=True)
class LastLayer:
    """A classifier's last layer and its forward for the first token only."""

    layer: Any
    forward: Forward

    @classmethod
    def of(cls, module: Any) -> LastLayer | None:
        """Return the last layer; None for an architecture that may read other tokens too."""
        make = _FORWARDS.get(type(module).__name__)
        config = module.config
        plain = (
            type(module).__module__.startswith("transformers.")
            and config._attn_implementation in ("sdpa", attentions.NAME)
            and not getattr(config, "is_decoder", False)
            and not getattr(config, "chunk_size_feed_forward", 0)
        )
        if make is None or not plain:
            return None
        layer = layers_of(module)[-1]
        return cls(layer, make(layer))

    @contextmanager
    def narrowed(self) -> Iterator[None]:
        """Make the layer compute only the first token inside the block."""
        # An instance attribute takes precedence over the class's method.
        self.layer.forward = self.forward
        try:
            yield
        finally:
            del self.layer.forward


def _bert(layer: Any) -> Forward:
    attention, output = layer.attention.self, layer.attention.output

    def forward(
        hidden: Tensor,
        mask: Tensor | None = None,
        *_: Any,
        packing: Packing | None = None,
        **__: Any,
    ) -> Tensor:
        first = first_token(hidden, packing)
        query = attention.query(first)
        context = _attend(attention, query, attention.key, attention.value, hidden, mask, packing)
        result: Tensor = layer.feed_forward_chunk(output(context, first))
        return result

    return forward


def _distilbert(layer: Any) -> Forward:
    attention = layer.attention

    def forward(
        hidden: Tensor,
        mask: Tensor | None = None,
        *_: Any,
        packing: Packing | None = None,
        **__: Any,
    ) -> Tensor:
        first = first_token(hidden, packing)
        query = attention.q_lin(first)
        context = _attend(attention, query, attention.k_lin, attention.v_lin, hidden, mask, packing)
        context = attention.out_lin(context)
        mixed = layer.sa_layer_norm(context + first)
        result: Tensor = layer.output_layer_norm(layer.ffn(mixed) + mixed)
        return result

    return forward


def first_token(hidden: Tensor, packing: Packing | None) -> Tensor:
    """Return the state of every row's first token. [batch, 1, width].

    Args:
        hidden: [batch, tokens, width]; packed, [1, tokens of all rows, width].
    """
    if packing is None:
        return hidden[:, :1]
    return hidden.squeeze(0).index_select(0, packing.firsts)[:, None]


def _attend(
    attention: Any,
    query: Tensor,
    key: Any,
    value: Any,
    hidden: Tensor,
    mask: Tensor | None,
    packing: Packing | None,
) -> Tensor:
    """Compute the attention of the first token: softmax(q·(K x + b)) (V x + c).

    With one query per row, no key or value is needed: q·(K x) = (qK)·x, and the weighted mean of
    V x is V times the weighted mean of x.

    Args:
        attention: the layer's attention module, for its dropout and scale.
        query: [batch, 1, width].
        key, value: its linear layers K x + b and V x + c.
        hidden: x, [batch, tokens, width].
        mask: [batch, 1, tokens, tokens], True where attended to, or None.
        packing: where each row lies if `hidden` is [1, tokens of all rows, width].

    Returns:
        [batch, 1, width].
    """

    def per_head(weight: Tensor) -> Tensor:
        return weight.view(-1, attention.attention_head_size, *weight.shape[1:])

    queries = query.view(len(query), *per_head(key.bias).shape).transpose(0, 1)
    projected = (queries @ per_head(key.weight)).transpose(0, 1)  # [batch, heads, width]
    offset = (queries @ per_head(key.bias)[..., None]).transpose(0, 1)  # [batch, heads, 1]
    means, sums = [], []
    for rows, states, real in _parts(hidden, mask, packing):
        scores = (projected[rows] @ states.transpose(1, 2) + offset[rows]) * attention.scaling
        if real is not None:
            scores = scores.masked_fill(~real, torch.finfo(scores.dtype).min)
        exact = torch.promote_types(scores.dtype, torch.float32)
        weights = attention.dropout(scores.softmax(-1, dtype=exact).to(states.dtype))
        means.append(weights @ states)
        sums.append(weights.sum(-1, keepdim=True))  # 1 without dropout
    mean = torch.cat(means).transpose(0, 1) @ per_head(value.weight).transpose(1, 2)
    shift = torch.cat(sums).transpose(0, 1) * per_head(value.bias)[:, None]
    return (mean + shift).transpose(0, 1).reshape(query.shape)


def _parts(
    hidden: Tensor, mask: Tensor | None, packing: Packing | None
) -> Iterator[tuple[slice, Tensor, Tensor | None]]:
    """Yield groups of rows: the rows, their states, a mask [rows, 1, tokens], True at tokens."""
    if packing is None:
        yield slice(None), hidden, None if mask is None else mask[:, 0, :1]
        return
    for group, states in zip(packing.groups, packing.split(hidden.squeeze(0)), strict=True):
        yield group.rows, states, None if group.mask is None else group.mask[:, None]


_FORWARDS: dict[str, Callable[[Any], Forward]] = {
    "BertForSequenceClassification": _bert,
    "CamembertForSequenceClassification": _bert,
    "DistilBertForSequenceClassification": _distilbert,
    "ElectraForSequenceClassification": _bert,
    "RobertaForSequenceClassification": _bert,
    "XLMRobertaForSequenceClassification": _bert,
}
