"""Saves trained learners."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distill_runner.models import heads, language
from distill_runner.models.learner import ATTACHED, Learner
from distill_runner.models.static import StaticForSequenceClassification, save_static


def save(learner: Learner, folder: Path, *, classes: Sequence[str]) -> None:
    """Write the learner with the names of its classes, in Hugging Face's format.

    A static student is written in Model2Vec's format.
    """
    config: Any = learner.module.config
    if learner.in_data_order:
        config.id2label = dict(enumerate(classes))
        config.label2id = {name: at for at, name in enumerate(classes)}
    if isinstance(learner.module, StaticForSequenceClassification):
        save_static(learner.module, learner.encoder, folder)
    else:
        _save_classifier(learner, folder)
    tokenizer = learner.encoder.tokenizer
    if tokenizer.is_fast:
        # The limit and padding of the last call are not part of the model.
        tokenizer.backend_tokenizer.no_truncation()
        tokenizer.backend_tokenizer.no_padding()
    tokenizer.save_pretrained(folder)


def _save_classifier(learner: Learner, folder: Path) -> None:
    body = language.without(heads.without(learner.module))
    body = {name: w for name, w in body.items() if not name.startswith(f"{ATTACHED}.")}
    learner.module.save_pretrained(folder, state_dict=body)  # type: ignore[operator]
    heads.save(learner.module, folder)
