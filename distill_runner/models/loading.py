"""Loads learners from folders, and creates new students."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from distill_runner.data.encoding import Encoder
from distill_runner.errors import Refused
from distill_runner.hub.files import WEIGHTS
from distill_runner.hub.locate import is_classifier
from distill_runner.models import heads, tokenizer_fit, untrusted
from distill_runner.models.architecture import families
from distill_runner.models.architecture.layers import copy_layers, keep_layers
from distill_runner.models.label_mapping import columns_for
from distill_runner.models.learner import Learner
from distill_runner.models.static import is_static, new_static, read_static
from distill_runner.runtime.seeding import seed_at
from distill_runner.tasks.base import Task
from distill_runner.tasks.kinds import check_trained_for


def load_trained(
    folder: Path,
    *,
    name: str,
    task: Task,
    classes: Sequence[str],
    max_tokens: int,
    key: str,
    labels: Sequence[str] | None = None,
    soft_heads: bool = True,
) -> Learner:
    """Load a trained classifier, and map its outputs to the data set's classes.

    Args:
        folder: a model folder in Hugging Face format.
        name: the name in messages.
        task: the data set's task.
        classes: the data set's classes, in order.
        max_tokens: the length limit of its encoder.
        key: the configuration key to blame.
        labels: the names of its outputs, if its config does not give them.
        soft_heads: load the folder's soft heads too, if there are any.

    Raises:
        Refused: the folder cannot be read, a class is missing from the outputs' names, or
            the number of `labels` differs from that of the outputs.
    """
    encoder = load_encoder(folder, max_tokens, key=key)
    module = _load(folder, encoder, key=key)
    if soft_heads and not is_static(folder):
        heads.load(module, folder)
    columns = columns_of(module.config, labels, task, classes, name=name)
    return Learner(name, module, encoder, columns=columns)


def columns_of(
    config: Any, labels: Sequence[str] | None, task: Task, classes: Sequence[str], *, name: str
) -> tuple[int, ...] | None:
    """Return the output of a trained classifier for each class; None if the orders agree.

    Args:
        config: the classifier's transformers config.
        labels: the names of its outputs, if the config does not give them.
        task, classes: of the data set.
        name: the classifier's name in messages.

    Raises:
        Refused: the outputs do not fit the task, or a class is missing from their names.
    """
    outputs = config.num_labels
    if labels and len(labels) != outputs:
        raise Refused(
            f"{name} has {outputs} outputs.",
            key="teacher.labels",
            value=list(labels),
            rule=f"{outputs} names, one for each output, in their order",
        )
    task.check_outputs(outputs, name=name)
    check_trained_for(task, config, name=name)
    if len(classes) == 1:
        return None  # a single output needs no mapping, whatever its name
    own = list(labels) if labels else [config.id2label[at] for at in range(outputs)]
    return columns_for(classes, own, name=name)


def new_classifier(
    folder: Path,
    *,
    name: str,
    task: Task,
    classes: Sequence[str],
    max_tokens: int,
    seed: int,
    key: str,
    random: bool,
    layers: tuple[int, ...] | None,
    teacher: Path | Any = None,
) -> Learner:
    """Create a classifier for these classes with a new head.

    Args:
        folder: architecture, tokenizer and (unless `random`) pre-trained weights.
        name: the name in messages.
        task: the data set's task.
        classes: the data set's classes, in order.
        max_tokens: the length limit of its encoder.
        seed: the seed of the head, and of all weights if `random`.
        key: the configuration key to blame.
        random: start from random weights.
        layers: the layers to keep, 0-based; the teacher's if there is one; None keeps all. With
            none the classifier is static (`models.static`).
        teacher: a model folder or a classifier from which the body's layers are copied.

    Raises:
        Refused: the folder cannot be read, or a layer does not exist.
    """
    encoder, head = load_encoder(folder, max_tokens, key=key), _head(task, classes)
    torch.manual_seed(seed_at(seed, "initialisation"))
    if is_static(folder) or layers == ():
        source = _word_source(folder, teacher, head, key=key, random=random)
        torch.manual_seed(seed_at(seed, "initialisation"))
        return Learner(name, new_static(source, encoder, head, key=key), encoder)
    if teacher is not None:
        module = from_config(folder, head, encoder, key=key, layers=layers)
        origin = _load(teacher, None, key=key) if isinstance(teacher, Path) else teacher
        copy_layers(origin, module, layers)
        return Learner(name, module, encoder)
    if random:
        module = from_config(folder, head, encoder, key=key)
    else:
        module = _pretrained(folder, head, encoder, seed=seed, key=key)
    if layers is not None:
        keep_layers(module, layers)
    return Learner(name, module, encoder)


def _pretrained(
    folder: Path, head: Mapping[str, Any], encoder: Encoder, *, seed: int, key: str
) -> Any:
    """Return the folder's classifier with its own body and a new head."""
    module = _load(folder, encoder, key=key, head=head)
    if is_classifier(folder):
        # A trained head is not new, and its size must not affect the draw of the new one.
        torch.manual_seed(seed_at(seed, "initialisation"))
        body, module = module, from_config(folder, head, encoder, key=key)
        module.base_model.load_state_dict(body.base_model.state_dict())
    return module


def _word_source(
    folder: Path, teacher: Path | Any, head: Mapping[str, Any], *, key: str, random: bool
) -> Any:
    """Return the model whose word embeddings a static student starts from; any head will do."""
    if teacher is not None and not isinstance(teacher, Path):
        return teacher
    source = folder if teacher is None else teacher
    if random:
        return from_config(source, head, None, key=key)
    return _load(source, None, key=key, head=head)


def load_encoder(folder: Path, max_tokens: int, *, key: str) -> Encoder:
    """Load the tokenizer of a model folder, with a padding token.

    Raises:
        Refused: it is missing or cannot be read.
    """
    from transformers import AutoTokenizer

    config = None if is_static(folder) else read_config(folder, key=key)
    with untrusted.reading("The tokenizer", folder, key=key, rule=untrusted.TOKENIZER):
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        if config is not None:
            tokenizer_fit.fit(tokenizer, config, key=key)
        return Encoder(tokenizer, max_tokens)


def _load(
    folder: Path, encoder: Encoder | None, *, key: str, head: Mapping[str, Any] | None = None
) -> Any:
    from transformers import AutoModelForSequenceClassification

    if is_static(folder):
        with untrusted.reading("The weights", folder, key=key, rule=WEIGHTS):
            return read_static(folder)
    config = _read_settled_config(folder, encoder, key=key, **(head or {}))
    with untrusted.reading("The weights", folder, key=key, rule=WEIGHTS):
        module, loading_info = AutoModelForSequenceClassification.from_pretrained(
            folder,
            dtype=torch.float32,
            trust_remote_code=False,
            weights_only=True,
            output_loading_info=True,
            config=config,
            # If the head is new anyway, a stored head of another size is not an error.
            ignore_mismatched_sizes=head is not None,
        )
        untrusted.check_loaded(loading_info, module, folder, key=key, head=head is None)
        return module


def from_config(
    folder: Path,
    head: Mapping[str, Any],
    encoder: Encoder | None,
    *,
    key: str,
    layers: Sequence[int] | None = None,
) -> Any:
    """Return a classifier with random weights and at most as many layers as `layers` names."""
    from transformers import AutoModelForSequenceClassification

    config = _read_settled_config(folder, encoder, key=key, **head)
    if layers and len(layers) < config.num_hidden_layers:
        config.num_hidden_layers = len(layers)
    with untrusted.reading("config.json", folder, key=key, rule=untrusted.CONFIG):
        return AutoModelForSequenceClassification.from_config(
            config, dtype=torch.float32, trust_remote_code=False
        )


def _read_settled_config(
    folder: Path, encoder: Encoder | None, *, key: str, **settings: Any
) -> Any:
    """Return the folder's config after `families.settle`; without `encoder` no text is read."""
    config = read_config(folder, key=key, **settings)
    families.settle(config, padding=encoder.tokenizer.pad_token_id if encoder else None)
    return config


def read_config(folder: Path, *, key: str, **settings: Any) -> Any:
    """Return the transformers config of a model folder, with these settings in place of its own.

    Raises:
        Refused: it is missing or cannot be read.
    """
    from transformers import AutoConfig

    with untrusted.reading("config.json", folder, key=key, rule=untrusted.CONFIG):
        return AutoConfig.from_pretrained(folder, trust_remote_code=False, **settings)


def _head(task: Task, classes: Sequence[str]) -> dict[str, Any]:
    """Return the config's settings for a head with these outputs."""
    return {
        "num_labels": len(classes),
        "id2label": dict(enumerate(classes)),
        "label2id": {name: at for at, name in enumerate(classes)},
        # Used by transformers' own loss, which is not used here, and by its pipelines.
        "problem_type": task.problem_type,
    }
