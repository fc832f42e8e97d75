"""Checks model folders before training: labels, layers, tokenizer and weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from distill_runner.models import tokenizer_fit, untrusted
from distill_runner.models.architecture.layers import copy_layers
from distill_runner.models.loading import columns_of, from_config, load_encoder, read_config
from distill_runner.tasks.base import Task


def check_labels(
    folder: Path,
    *,
    name: str,
    task: Task,
    classes: Sequence[str],
    key: str,
    labels: Sequence[str] | None,
) -> None:
    """Refuse a trained classifier that does not know the classes; reads only its config.

    The arguments are those of `load_trained`.

    Raises:
        Refused: `load_trained` would refuse the labels.
    """
    columns_of(read_config(folder, key=key), labels, task, classes, name=name)


def check_start(folder: Path, *, teacher: Path, layers: Sequence[int] | None, key: str) -> None:
    """Refuse a student into which the teacher's layers cannot be copied, before training.

    Args:
        folder: the student's architecture.
        teacher: a model folder of the teacher's architecture; its weights are not read.
        layers: the teacher's layers, 0-based; None spaces them evenly.
        key: the configuration key to blame.

    Raises:
        Refused: the layers do not exist, or their shapes differ from the student's.
    """
    # Try the copy itself, on tensors that have a shape and no content.
    with torch.device("meta"):
        source = from_config(teacher, {}, None, key="teacher.models")
        copy_layers(source, from_config(folder, {}, None, key=key, layers=layers), layers)


def check_files(folder: Path, shape: Any, *, weights: bool, key: str) -> None:
    """Refuse a tokenizer or weights that would fail later in a run.

    Args:
        folder: the model's folder.
        shape: the classifier that `untrusted.check_config` returned for the folder.
        weights: check the weights too.
        key: the configuration key to blame.

    Raises:
        Refused: they cannot be read, or do not belong to the model.
    """
    tokenizer = load_encoder(folder, 8, key=key).tokenizer
    untrusted.check_words(shape, tokenizer, folder, key=key)
    tokenizer_fit.check_ends(shape, tokenizer, key=key)
    if weights:
        untrusted.check_weights(folder, key=key)


def width_of(folder: Path, *, key: str) -> int:
    """Return the width of a model's states; reads only its config.

    Raises:
        Refused: the config cannot be read.
    """
    return int(read_config(folder, key=key).hidden_size)
