"""Tiny random classifiers with tokenizers of their own, made once and never fetched."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import pytest
import torch

from distill_runner.config.schema import BuiltModel
from distill_runner.models import loading
from distill_runner.models.learner import Learner
from distill_runner.models.stand_ins import build
from distill_runner.tasks.classification import Classification

MAX_TOKENS = 24
FAMILIES = ("bert", "roberta", "distilbert")
_TEXTS = [
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


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """Short reviews of different lengths."""
    return list(_TEXTS)


@pytest.fixture(scope="session")
def model_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """`config.json` and tokenizer of a two-layer model of each family; no weights."""
    root = tmp_path_factory.mktemp("models")
    for family in FAMILIES:
        spec = BuiltModel(family, layers=2, width=16, heads=2, feedforward=24, vocabulary=400)
        build(spec, _TEXTS, root / family, max_tokens=MAX_TOKENS)
    return {family: root / family for family in FAMILIES}


@pytest.fixture(scope="session")
def new_learner(model_folders: dict[str, Path]) -> NewLearner:
    def make(
        family: str = "bert",
        *,
        seed: int = 1,
        classes: int = 2,
        dropout: float = 0.0,
        dtype: torch.dtype = torch.float64,
    ) -> Learner:
        learner = loading.new_classifier(
            model_folders[family],
            name=f"{family}-{seed}",
            task=Classification(),
            classes=[f"class {at}" for at in range(classes)],
            max_tokens=MAX_TOKENS,
            seed=seed,
            key="student.model",
            random=True,
            layers=None,
        )
        _make_lively(learner, dropout)
        learner.module.to(dtype)
        return learner

    return make


def _make_lively(learner: Learner, dropout: float) -> None:
    # So that texts are told apart clearly, and no bias is zero.
    with torch.no_grad():
        for name, weight in learner.trainable():
            if "norm" not in name.lower():
                weight.mul_(1.5).add_(0.05 * torch.randn_like(weight))
    for part in learner.module.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = dropout
    learner.module.train()
