"""Computes a classifier's token states, and attaches a masked-LM head during a stage.

BERT, RoBERTa and DistilBERT share one form of head: a linear layer, its activation, LayerNorm,
and the word embedding as the decoder, with one bias per word. The head is not saved with the
classifier.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from distill_runner.data.encoding import Encoder, Inputs
from distill_runner.errors import Refused
from distill_runner.models.untrusted import reading
from distill_runner.runtime.seeding import seed_at

_NAME = "language_head"  # the submodule's name
# The linear layer's weight in each family; the tied decoder may be missing from a checkpoint.
_DENSE = ("transform.dense.weight", "lm_head.dense.weight", "vocab_transform.weight")


class LanguageHead(nn.Module):
    """Maps states to logits over the vocabulary; the decoder is the body's word embedding."""

    def __init__(self, dense: nn.Module, activation: Any, norm: nn.Module, bias: Tensor) -> None:
        super().__init__()
        self.dense = dense
        self.activation = activation
        self.norm: Any = norm
        self.bias = nn.Parameter(bias.detach().clone())

    def forward(self, states: Tensor, words: Tensor) -> Tensor:
        """Return logits over the vocabulary. [tokens, vocabulary].

        Args:
            states: [tokens, width].
            words: the word embedding, [vocabulary, width].
        """
        hidden: Tensor = self.norm(self.activation(self.dense(states)))
        return nn.functional.linear(hidden, words, self.bias)


def load_head(folder: Path, *, seed: int, random: bool, key: str) -> LanguageHead | None:
    """Return the masked-LM head of a checkpoint; None if the checkpoint has none.

    Args:
        folder: a model folder in Hugging Face format.
        seed: the seed of the head's weights if `random`.
        random: create a new head, for a random body or a checkpoint without one.
        key: the configuration key to blame.

    Raises:
        Refused: the folder cannot be read, or its family is not BERT, RoBERTa or DistilBERT.
    """
    from transformers import AutoConfig, AutoModelForMaskedLM

    with reading("The language head", folder, key=key, rule="BERT, RoBERTa or DistilBERT"):
        if random:
            torch.manual_seed(seed_at(seed, "language head"))
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
            module = AutoModelForMaskedLM.from_config(
                config, dtype=torch.float32, trust_remote_code=False
            )
            return _head_of(module, key=key)
        module, loading_info = AutoModelForMaskedLM.from_pretrained(
            folder,
            dtype=torch.float32,
            trust_remote_code=False,
            weights_only=True,
            output_loading_info=True,
        )
    head = _head_of(module, key=key)
    body = f"{module.base_model_prefix}."
    missing = [name for name in loading_info["missing_keys"] if not name.startswith(body)]
    return None if any(name.endswith(_DENSE) for name in missing) else head


def _head_of(module: Any, *, key: str) -> LanguageHead:
    family = module.config.model_type
    if family == "bert":
        head = module.cls.predictions
        change = head.transform
        return LanguageHead(change.dense, change.transform_act_fn, change.LayerNorm, head.bias)
    if family == "roberta":
        head = module.lm_head
        return LanguageHead(head.dense, nn.functional.gelu, head.layer_norm, head.bias)
    if family == "distilbert":
        return LanguageHead(
            module.vocab_transform,
            module.activation,
            module.vocab_layer_norm,
            module.vocab_projector.bias,
        )
    raise Refused(
        f"The language head of a {family} is not supported.",
        key=key,
        value=family,
        rule="BERT, RoBERTa or DistilBERT",
    )


def attach(module: Any, head: LanguageHead) -> None:
    """Attach a language head to a classifier, to be trained with it."""
    module.language_head = head.to(next(module.parameters()).device)


def is_attached(module: Any) -> bool:
    """Return whether a classifier has a language head."""
    return hasattr(module, _NAME)


def fits(head: LanguageHead, module: Any) -> bool:
    """Return whether the head's width is that of the classifier's states."""
    return bool(head.norm.weight.numel() == module.config.hidden_size)


def states(module: Any, inputs: Inputs, columns: tuple[str, ...]) -> Tensor:
    """Return the body's last state of every token but padding. [tokens, width].

    No shortcut applies: the whole last layer is computed, padding included.

    Args:
        module: a transformers sequence classifier.
        inputs: tensors [batch, tokens] by name.
        columns: the names of the inputs that the body reads.
    """
    read = {name: inputs[name] for name in columns if name in inputs}
    found: Tensor = module.base_model(**read)[0][inputs["attention_mask"].bool()]
    return found.to(torch.promote_types(found.dtype, torch.float32))


def logits(module: Any, states: Tensor) -> Tensor:
    """Return logits of the language head, in float32 or wider. [tokens, vocabulary].

    Args:
        states: [tokens, width].
    """
    found: Tensor = module.language_head(states, module.get_input_embeddings().weight)
    return found.to(torch.promote_types(found.dtype, torch.float32))


def without(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a module's weights without those of its language head."""
    return {name: w for name, w in weights.items() if not name.startswith(f"{_NAME}.")}


def check_words(student: Encoder, teacher: Encoder, *, names: tuple[str, str], key: str) -> None:
    """Refuse a student whose token ids differ from its teacher's, as both read the same ids.

    Args:
        student, teacher: their encoders.
        names: the student's and the teacher's model, for the message.
        key: the configuration key to blame.

    Raises:
        Refused: the two vocabularies differ.
    """
    ours, theirs = student.tokenizer.get_vocab(), teacher.tokenizer.get_vocab()
    if ours != theirs:
        raise Refused(
            f"The student {names[0]} and its teacher {names[1]} have different vocabularies: "
            f"{len(ours):,} tokens, the teacher's {len(theirs):,}.",
            key=key,
            value=names[0],
            rule="the teacher's tokens with the same ids, where a stage learns token by token",
            way_out="a student of the teacher's family (student=distilbert for teacher=bert), "
            "or a teacher of the student's family",
        )
