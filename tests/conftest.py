"""Tiny random classifiers with tokenizers of their own, made once and never fetched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from support.finished_runs import FinishedRuns
from support.learners import FAMILIES, MAX_TOKENS, TEXTS, NewLearner, make_lively

from distill_runner.config.schema import BuiltModel
from distill_runner.models import loading
from distill_runner.models.learner import Learner
from distill_runner.models.stand_ins import build
from distill_runner.tasks.classification import Classification

pytest_plugins = ["support.hub"]


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that all tests share, also those of other processes: a stage is trained once.

    A test that damages its store, or asks which stages were trained, makes one of its own.
    """
    base = tmp_path_factory.getbasetemp()
    # Each worker of pytest-xdist has a folder of its own inside the session's.
    session = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = session / "store"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> FinishedRuns:
    """Makes the run of a kind of student, once (`support.finished_runs`)."""
    return FinishedRuns(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """Short reviews of different lengths."""
    return list(TEXTS)


@pytest.fixture(scope="session")
def model_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """`config.json` and tokenizer of a two-layer model of each family; no weights."""
    root = tmp_path_factory.mktemp("models")
    for family in FAMILIES:
        spec = BuiltModel(family, layers=2, width=16, heads=2, feedforward=24, vocabulary=400)
        build(spec, TEXTS, root / family, max_tokens=MAX_TOKENS)
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
        make_lively(learner, dropout)
        learner.module.to(dtype)
        return learner

    return make
