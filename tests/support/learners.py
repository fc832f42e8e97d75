"""Tiny learners: how tests make them, feed them and compare them."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from distill_runner.config.schema import BuiltModel
from distill_runner.data.encoding import Inputs
from distill_runner.models import loading, saving
from distill_runner.models.learner import Learner
from distill_runner.models.stand_ins import build
from distill_runner.tasks.classification import Classification

MAX_TOKENS = 24
FAMILIES = ("bert", "roberta", "distilbert")
TEXTS = [
    "a good film",
    "a bad film, dull and slow",
    "it is not so good as they say",
    "the plot of it",
    "warm, funny and quick; she is the best of them all",
    "no",
    "they say it is the worst film of the year and it is",
    "not bad",
]


class NewLearner(Protocol):
    """Makes a learner of one of `FAMILIES`, its weights a function of `seed`."""

    def __call__(
        self,
        family: str = ...,
        *,
        seed: int = ...,
        classes: int = ...,
        dropout: float = ...,
        dtype: torch.dtype = ...,
    ) -> Learner: ...


def make_lively(learner: Learner, dropout: float) -> None:
    """Scale the weights up, so that texts get clearly different logits and no bias is zero."""
    with torch.no_grad():
        for name, weight in learner.trainable():
            if "norm" not in name.lower():
                weight.mul_(1.5).add_(0.05 * torch.randn_like(weight))
    for part in learner.module.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = dropout
    learner.module.train()


def inputs_of(learner: Learner, texts: list[str]) -> Inputs:
    columns = learner.encoder.tokenize(texts)
    return learner.encoder.pad({"input_ids": columns["input_ids"]})  # type: ignore[dict-item]


def gradients(learner: Learner, texts: list[str]) -> tuple[Tensor, dict[str, Tensor]]:
    logits = learner.logits(inputs_of(learner, texts))
    names, weights = zip(*learner.trainable(), strict=True)
    found = torch.autograd.grad(torch.sin(logits).sum(), weights)
    return logits.detach(), dict(zip(names, found, strict=True))


def assert_alike(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """The same gradients, to rounding in float64."""
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-10, atol=1e-12, msg=name)


def weights_of(learner: Learner) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in learner.module.state_dict().items()}


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(left[name], right[name]) for name in left)


def without_dropout(learner: Learner) -> None:
    """Nor any other draw of a pass."""
    for module in learner.module.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    learner.skip_layers(0)


def save_bert(folder: Path, *, layers: int) -> None:
    """A tiny BERT with weights, as a folder of one's own would have it."""
    shape = folder.with_name(f"{folder.name}-shape")
    spec = BuiltModel("bert", layers=layers, width=16, heads=2, feedforward=24, vocabulary=400)
    build(spec, TEXTS, shape, max_tokens=128)
    learner = loading.new_classifier(
        shape,
        name="bert",
        task=Classification(),
        classes=("a", "b"),
        max_tokens=128,
        seed=1,
        key="student.model",
        random=True,
        layers=None,
    )
    saving.save(learner, folder, classes=("a", "b"))
