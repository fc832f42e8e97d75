"""A learner from a folder: weights, tokenizer, label order; and the students' starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from distill_runner.data.encoding import Encoder
from distill_runner.errors import Refused
from distill_runner.hub.files import WEIGHTS
from distill_runner.hub.locate import is_classifier
from distill_runner.models import heads, language, tokenizer_fit, untrusted
from distill_runner.models.architecture import families
from distill_runner.models.architecture.layers import copy_layers, keep_layers
from distill_runner.models.label_mapping import columns_for
from distill_runner.models.learner import ATTACHED, Learner
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
    """A trained classifier, its outputs put into the data set's order of classes.

    Args:
        folder: a model folder in Hugging Face format.
        name: as printed.
        task: the data set's.
        classes: the data set's classes, in order.
        max_tokens: length limit of its encoder.
        key: the configuration key to blame.
        labels: names of its outputs, where its config does not tell.
        soft_heads: take them too, where the folder has any.

    Raises:
        Refused: the folder cannot be read, it does not know one of the classes, or
            `labels` are not as many as its outputs.
    """
    encoder = load_encoder(folder, max_tokens, key=key)
    module = _load(folder, encoder, key=key)
    if soft_heads:
        heads.load(module, folder)
    columns = _columns(module.config, labels, task, classes, name=name)
    return Learner(name, module, encoder, columns=columns)


def check_labels(
    folder: Path,
    *,
    name: str,
    task: Task,
    classes: Sequence[str],
    key: str,
    labels: Sequence[str] | None,
) -> None:
    """Refuse a trained classifier that does not know the classes, from its config alone.

    Takes what `load_trained` takes, and raises what that would say of the labels.
    """
    _columns(_config(folder, key=key), labels, task, classes, name=name)


def _columns(
    config: Any, labels: Sequence[str] | None, task: Task, classes: Sequence[str], *, name: str
) -> tuple[int, ...] | None:
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
        return None  # whatever its name is
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
    layers: Sequence[int] | None,
    teacher: Path | Any = None,
) -> Learner:
    """A classifier for these classes with a fresh head.

    Args:
        folder: architecture, tokenizer and (unless `random`) pre-trained weights.
        name: as printed.
        task: the data set's.
        classes: the data set's classes.
        max_tokens: length limit of its encoder.
        seed: of the head, and of all weights where `random`.
        key: the configuration key to blame.
        random: start from random weights.
        layers: which layers to keep, 0-based; of the teacher where there is one.
        teacher: a model folder, or a classifier, whose layers the body is copied from.

    Raises:
        Refused: the folder cannot be read, or a layer does not exist.
    """
    encoder, head = load_encoder(folder, max_tokens, key=key), _head(task, classes)
    torch.manual_seed(seed_at(seed, "initialisation"))
    if teacher is not None:
        module = _from_config(folder, head, encoder, key=key, layers=layers)
        origin = _load(teacher, None, key=key) if isinstance(teacher, Path) else teacher
        copy_layers(origin, module, layers)
    else:
        module = (
            _from_config(folder, head, encoder, key=key)
            if random
            else _load(folder, encoder, key=key, head=head)
        )
        if not random and is_classifier(folder):
            # The head of another training is no fresh head, and its size must decide nothing.
            torch.manual_seed(seed_at(seed, "initialisation"))
            body, module = module, _from_config(folder, head, encoder, key=key)
            module.base_model.load_state_dict(body.base_model.state_dict())
        if layers is not None:
            keep_layers(module, layers)
    return Learner(name, module, encoder)


def check_start(folder: Path, *, teacher: Path, layers: Sequence[int] | None, key: str) -> None:
    """Refuse a student that no layers of the teacher fit, before the teacher is trained.

    Args:
        folder: the student's architecture.
        teacher: a model folder of the teacher's architecture; its weights are not read.
        layers: of the teacher, 0-based; None spreads them evenly.
        key: the configuration key to blame.

    Raises:
        Refused: the layers do not exist, or their shapes are others.
    """
    # The copy itself, on tensors that have a shape and no content.
    with torch.device("meta"):
        source = _from_config(teacher, {}, None, key="teacher.models")
        copy_layers(source, _from_config(folder, {}, None, key=key, layers=layers), layers)


def width_of(folder: Path, *, key: str) -> int:
    """How wide a model's states are, from its config alone.

    Raises:
        Refused: the config cannot be read.
    """
    return int(_config(folder, key=key).hidden_size)


def load_encoder(folder: Path, max_tokens: int, *, key: str) -> Encoder:
    """The tokenizer of a model folder, with a token for padding.

    Raises:
        Refused: there is none that can be read.
    """
    from transformers import AutoTokenizer

    config = _config(folder, key=key)
    with untrusted.reading("The tokenizer", folder, key=key, rule=untrusted.TOKENIZER):
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        tokenizer_fit.fit(tokenizer, config, key=key)
        return Encoder(tokenizer, max_tokens)


def check_files(folder: Path, shape: Any, *, weights: bool, key: str) -> None:
    """Refuse a tokenizer or weights that a run would stumble over later.

    Args:
        shape: what `untrusted.check_config` made of the folder.
        weights: they are read too.
        key: the configuration key to blame.

    Raises:
        Refused: they cannot be read, or do not belong to the model.
    """
    tokenizer = load_encoder(folder, 8, key=key).tokenizer
    untrusted.check_words(shape, tokenizer, folder, key=key)
    tokenizer_fit.check_ends(shape, tokenizer, key=key)
    if weights:
        untrusted.check_weights(folder, key=key)


def save(learner: Learner, folder: Path, *, classes: Sequence[str]) -> None:
    """Write the learner in Hugging Face format, with the names of its classes."""
    config: Any = learner.module.config
    if learner.in_data_order:
        config.id2label = dict(enumerate(classes))
        config.label2id = {name: at for at, name in enumerate(classes)}
    body = language.without(heads.without(learner.module))
    body = {name: w for name, w in body.items() if not name.startswith(f"{ATTACHED}.")}
    learner.module.save_pretrained(folder, state_dict=body)  # type: ignore[operator]
    heads.save(learner.module, folder)
    tokenizer = learner.encoder.tokenizer
    if tokenizer.is_fast:
        # What the last call left as its limit and padding is no part of the model.
        tokenizer.backend_tokenizer.no_truncation()
        tokenizer.backend_tokenizer.no_padding()
    tokenizer.save_pretrained(folder)


def _load(
    folder: Path, encoder: Encoder | None, *, key: str, head: Mapping[str, Any] | None = None
) -> Any:
    from transformers import AutoModelForSequenceClassification

    config = _settled(folder, encoder, key=key, **(head or {}))
    with untrusted.reading("The weights", folder, key=key, rule=WEIGHTS):
        module, told = AutoModelForSequenceClassification.from_pretrained(
            folder,
            dtype=torch.float32,
            trust_remote_code=False,
            weights_only=True,
            output_loading_info=True,
            config=config,
            # A head of another size is a fresh head's business, not an error.
            ignore_mismatched_sizes=head is not None,
        )
        untrusted.check_loaded(told, module, folder, key=key, head=head is None)
        return module


def _from_config(
    folder: Path,
    head: Mapping[str, Any],
    encoder: Encoder | None,
    *,
    key: str,
    layers: Sequence[int] | None = None,
) -> Any:
    """A classifier of random weights; one deeper than `layers` are many is cut to them."""
    from transformers import AutoModelForSequenceClassification

    config = _settled(folder, encoder, key=key, **head)
    if layers and len(layers) < config.num_hidden_layers:
        config.num_hidden_layers = len(layers)
    with untrusted.reading("config.json", folder, key=key, rule=untrusted.CONFIG):
        return AutoModelForSequenceClassification.from_config(
            config, dtype=torch.float32, trust_remote_code=False
        )


def _settled(folder: Path, encoder: Encoder | None, *, key: str, **settings: Any) -> Any:
    """The folder's config, so that a text's answer is its own; no `encoder`: none is read."""
    config = _config(folder, key=key, **settings)
    families.settle(config, padding=encoder.tokenizer.pad_token_id if encoder else None)
    return config


def _config(folder: Path, *, key: str, **settings: Any) -> Any:
    from transformers import AutoConfig

    with untrusted.reading("config.json", folder, key=key, rule=untrusted.CONFIG):
        return AutoConfig.from_pretrained(folder, trust_remote_code=False, **settings)


def _head(task: Task, classes: Sequence[str]) -> dict[str, Any]:
    """The settings of a config for a head with these outputs."""
    return {
        "num_labels": len(classes),
        "id2label": dict(enumerate(classes)),
        "label2id": {name: at for at, name in enumerate(classes)},
        # Of transformers' own loss, which trains nothing here, and of its pipelines.
        "problem_type": task.problem_type,
    }
