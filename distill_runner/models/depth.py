"""Implements stochastic depth: in training, a forward pass skips some of the learner's layers.

Layer l of L is skipped with probability p·l/L, for the whole batch, so deeper layers are skipped
more often (Huang et al. 2016, section 3; their survival probability of the last layer is 1 - p).

In a ResNet a block is x + f(x), and at test time f is scaled by its survival probability. A layer
of BERT ends in a LayerNorm of that sum, which would undo the scaling. So this follows LayerDrop
(Fan et al. 2020): a skipped layer passes on its input, and nothing is scaled in training or later.
In evaluation every layer runs.

A learner with a single layer skips it with probability p; its head then reads the embedding of
the first token, which is the same in every row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from distill_runner.errors import Refused
from distill_runner.models.architecture.layers import layers_of
from distill_runner.models.fast.first_token import first_token
from distill_runner.models.fast.packed import Packing

# Their layers take hidden states as the first argument and return only hidden states.
_FAMILIES = ("bert", "roberta", "distilbert")


@dataclass(frozen=True)
class StochasticDepth:
    """The layers of a classifier, and the probability that the last one is skipped."""

    layers: tuple[Any, ...]
    p: float  # 0..1

    @classmethod
    def of(cls, module: Any, p: float) -> StochasticDepth | None:
        """Return the layers of a classifier; None if `p` is 0, so that no random number is drawn.

        Raises:
            Refused: the architecture's layers cannot be skipped.
        """
        if not p:
            return None
        check_family(module.config.model_type)
        return cls(tuple(layers_of(module)), p)

    def draw(self) -> list[bool]:
        """Draw which layers are skipped, from the first to the last.

        The draw uses the CPU's generator even for a GPU: every device then skips the same
        layers, and the host does not wait for the GPU.
        """
        depth = len(self.layers)
        chances = self.p * torch.arange(1, depth + 1) / depth
        skipped: list[bool] = (torch.rand(depth) < chances).tolist()
        return skipped

    @contextmanager
    def drawn(self, *, narrowed: bool) -> Iterator[None]:
        """Draw layers to skip; inside the block they pass on their input.

        Args:
            narrowed: the last layer computes the first token only.
        """
        last = len(self.layers) - 1
        with ExitStack() as skipping:
            for at, (layer, skipped) in enumerate(zip(self.layers, self.draw(), strict=True)):
                if skipped:
                    instead = _first_token if narrowed and at == last else _all_tokens
                    skipping.enter_context(_replaced(layer, instead))
            yield


def check_family(model_type: object) -> None:
    """Refuse an architecture whose layers cannot be skipped.

    Raises:
        Refused: it is not BERT, RoBERTa or DistilBERT.
    """
    if model_type not in _FAMILIES:
        raise Refused(
            f"Stochastic depth cannot skip the layers of a {model_type}.",
            key="student.model",
            value=model_type,
            rule="BERT, RoBERTa or DistilBERT where the method uses stochastic depth",
            way_out="method.stochastic_depth=0",
        )


def _all_tokens(hidden: Tensor, *_: Any, **__: Any) -> Tensor:
    return hidden


def _first_token(hidden: Tensor, *_: Any, packing: Packing | None = None, **__: Any) -> Tensor:
    return first_token(hidden, packing)


@contextmanager
def _replaced(layer: Any, forward: Callable[..., Tensor]) -> Iterator[None]:
    """Replace the layer's forward inside the block."""
    before = vars(layer).get("forward")  # a narrowed forward is an attribute of the instance
    layer.forward = forward
    try:
        yield
    finally:
        del layer.forward
        if before is not None:
            layer.forward = before
