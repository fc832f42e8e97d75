"""Adapts a tokenizer to its classifier: padding token, padding side and input columns."""

from __future__ import annotations

from typing import Any

from distill_runner.errors import Refused
from distill_runner.models.architecture import families


def fit(tokenizer: Any, config: Any, *, key: str) -> None:
    """Adapt a folder's tokenizer to the folder's classifier; a student is saved with the result.

    Args:
        tokenizer: the tokenizer as loaded; changed in place.
        config: the config of the same folder.
        key: the configuration key to blame.

    Raises:
        Refused: the vocabulary has no token that can pad a batch.
    """
    from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING

    cls = MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[type(config)]
    names = list(tokenizer.model_input_names)
    tokenizer.model_input_names = families.read_columns(cls, config.model_type, names)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = _padding(tokenizer, config, key=key)
    if cls.__name__ in families.PADDING:
        # Padding on the left would shift the positions of the text.
        tokenizer.padding_side = "right"


def _padding(tokenizer: Any, config: Any, *, key: str) -> str:
    """Return the token to pad with if the tokenizer names none."""
    special, padding_id = tokenizer.all_special_tokens, config.get_text_config().pad_token_id
    has_id = isinstance(padding_id, int) and padding_id >= 0  # some configs write -1 for none
    from_config = tokenizer.convert_ids_to_tokens(padding_id) if has_id else None
    for token in (from_config, tokenizer.eos_token, tokenizer.unk_token, tokenizer.bos_token):
        if token is not None and token in special:
            return str(token)
    raise Refused(
        "The tokenizer of this model has no token to pad a batch with.",
        key=key,
        value=tokenizer.name_or_path,
        rule="a tokenizer with a token for padding, for the end of a text, or for unknown words",
        way_out="name one of its tokens as pad_token in tokenizer_config.json",
    )


def check_ends(module: Any, tokenizer: Any, *, key: str) -> None:
    """Refuse a tokenizer that does not add the end token whose state the head reads.

    Raises:
        Refused: an encoded text lacks that token.
    """
    if not families.counts_ends(module):
        return
    end = module.config.eos_token_id
    if end not in tokenizer("a")["input_ids"]:
        raise Refused(
            f"A {type(module).__name__} reads the state of the token {end}, and this tokenizer "
            "does not end a text with it.",
            key=key,
            value=tokenizer.name_or_path,
            rule="a tokenizer that ends each text with the model's eos_token_id",
            way_out="the tokenizer files that were published with the model",
        )
