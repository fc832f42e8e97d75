"""The last layer computed for the first token alone.

A BERT, RoBERTa or DistilBERT classifier reads one state of its last layer, the first
token's. The other tokens are needed there as keys and values, and no further: their
queries, their output and the feed-forward above them never reach the logits. Leaving
them out changes neither logits nor gradients; with dropout on, fewer masks are drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from distill_runner.models import attention as attentions
from distill_runner.models.layers import layers_of
from distill_runner.models.packed import Packing

Forward = Callable[..., Tensor]  # (hidden [batch, tokens, width], mask) -> [batch, 1, width]


@dataclass(frozen=True)
class LastLayer:
    """A classifier's last layer, and its forward for the first token alone."""

    layer: Any
    forward: Forward

    @classmethod
    def of(cls, module: Any) -> LastLayer | None:
        """None for an architecture that is not known to read the first token only."""
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
        """Inside, the layer answers for the first token alone."""
        # An attribute of the instance goes before the method of its class.
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
        first = _first(hidden, packing)
        query, key, value = attention.query(first), attention.key(hidden), attention.value(hidden)
        context = _attend(attention, query, key, value, mask, packing)
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
        first = _first(hidden, packing)
        query, key, value = attention.q_lin(first), attention.k_lin(hidden), attention.v_lin(hidden)
        context = attention.out_lin(_attend(attention, query, key, value, mask, packing))
        mixed = layer.sa_layer_norm(context + first)
        result: Tensor = layer.output_layer_norm(layer.ffn(mixed) + mixed)
        return result

    return forward


def _first(hidden: Tensor, packing: Packing | None) -> Tensor:
    """The first token of every row. [batch, 1, width]."""
    return hidden[:, :1] if packing is None else hidden[0, packing.firsts][:, None]


def _attend(
    attention: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    packing: Packing | None,
) -> Tensor:
    """Attention from the first token. query [batch, 1, width]; key, value [batch, tokens, width].

    mask: [batch, 1, tokens, tokens], True where attended to, or None. packing: where the rows
    lie if key and value are [1, tokens of all, width]. Returns [batch, 1, width].
    """
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    queries, keys, values = (
        projected.view(*projected.shape[:2], -1, attention.attention_head_size).transpose(1, 2)
        for projected in (query, key, value)
    )
    attend = ALL_ATTENTION_FUNCTIONS[attention.config._attn_implementation]
    context: Tensor = attend(
        attention,
        queries,
        keys,
        values,
        None if mask is None else mask[:, :, :1],
        dropout=attention.dropout.p if attention.training else 0.0,
        scaling=attention.scaling,
        **({} if packing is None else {"packing": packing}),
    )[0]
    return context.flatten(-2)


_FORWARDS: dict[str, Callable[[Any], Forward]] = {
    "BertForSequenceClassification": _bert,
    "RobertaForSequenceClassification": _bert,
    "DistilBertForSequenceClassification": _distilbert,
}
