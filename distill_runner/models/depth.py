"""Stochastic depth: while a learner trains, some of its layers are left out of a pass.

Layer l of L is skipped with probability p·l/L, all rows of the batch alike: the deeper, the
likelier (Huang et al. 2016, section 3, whose survival probability of the last layer is 1 - p).

There a block is x + f(x), and at test time f is scaled by its survival probability. A layer
of BERT ends in a LayerNorm of that sum, so nothing passes it by and a scaled output would be
normalised back: the sound form is LayerDrop's (Fan et al. 2020), which skips a whole layer in
training, hands on its input, itself a LayerNorm's output, and scales neither then nor later.
When a learner is evaluated every layer takes part.

A learner of one layer loses it with probability p; its head then reads the embedding of the
first token, alike in every row.
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

# Their layers take hidden states first and give hidden states alone.
_FAMILIES = ("bert", "roberta", "distilbert")


@dataclass(frozen=True)
class StochasticDepth:
    """The layers of a classifier, and the chance of the last one to be skipped."""

    layers: tuple[Any, ...]
    p: float  # 0..1

    @classmethod
    def of(cls, module: Any, p: float) -> StochasticDepth | None:
        """None for `p` of 0, where nothing is drawn either.

        Raises:
            Refused: an architecture whose layers cannot be skipped here.
        """
        if not p:
            return None
        check_family(module.config.model_type)
        return cls(tuple(layers_of(module)), p)

    def draw(self) -> list[bool]:
        """Which layers are skipped, from the first on; all chances in one draw.

        Of the CPU's generator, whose seed is the pass's address: a layer that is skipped on
        one device is on another, and no GPU has to be waited for.
        """
        depth = len(self.layers)
        chances = self.p * torch.arange(1, depth + 1) / depth
        skipped: list[bool] = (torch.rand(depth) < chances).tolist()
        return skipped

    @contextmanager
    def drawn(self, *, narrowed: bool) -> Iterator[None]:
        """Inside, the layers that a draw made here has hit hand on what they are given.

        Args:
            narrowed: the last layer answers for the first token alone.
        """
        last = len(self.layers) - 1
        with ExitStack() as skipping:
            for at, (layer, skipped) in enumerate(zip(self.layers, self.draw(), strict=True)):
                if skipped:
                    instead = _first_token if narrowed and at == last else _all_tokens
                    skipping.enter_context(_replaced(layer, instead))
            yield


def check_family(model_type: object) -> None:
    """Refuse an architecture whose layers cannot be skipped here.

    Raises:
        Refused: it is none of those that are known.
    """
    if model_type not in _FAMILIES:
        raise Refused(
            f"The layers of a {model_type} cannot be skipped here.",
            key="student.model",
            value=model_type,
            rule="BERT, RoBERTa or DistilBERT, where the method has stochastic depth",
            way_out="method.stochastic_depth=0",
        )


def _all_tokens(hidden: Tensor, *_: Any, **__: Any) -> Tensor:
    return hidden


def _first_token(hidden: Tensor, *_: Any, packing: Packing | None = None, **__: Any) -> Tensor:
    return first_token(hidden, packing)


@contextmanager
def _replaced(layer: Any, forward: Callable[..., Tensor]) -> Iterator[None]:
    """Inside, the layer answers by `forward`; after it, as it did before."""
    own = vars(layer)
    before = own.get("forward")  # the narrowed one, which is an attribute of the instance
    layer.forward = forward
    try:
        yield
    finally:
        del layer.forward
        if before is not None:
            layer.forward = before
