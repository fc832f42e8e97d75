"""A tokenizer made to fit its classifier: what it pads with, on which side, what it names."""

from __future__ import annotations

from typing import Any

from distill_runner.errors import Refused
from distill_runner.models.architecture import families


def fit(tokenizer: Any, config: Any, *, key: str) -> None:
    """Make a folder's tokenizer serve the folder's classifier; it is saved so with a student.

    Args:
        tokenizer: as loaded; changed in place.
        config: of the same folder.
        key: the configuration key to blame.

    Raises:
        Refused: nothing in its vocabulary can pad a batch.
    """
    from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING

    cls = MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[type(config)]
    names = list(tokenizer.model_input_names)
    tokenizer.model_input_names = families.read_columns(cls, config.model_type, names)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = _padding(tokenizer, config, key=key)
    if cls.__name__ in families.PADDING:
        # Before the text it would move the text's positions.
        tokenizer.padding_side = "right"


def _padding(tokenizer: Any, config: Any, *, key: str) -> str:
    """A token of the vocabulary that stands for padding where the tokenizer names none."""
    special, own = tokenizer.all_special_tokens, config.get_text_config().pad_token_id
    known = isinstance(own, int) and own >= 0  # some configs have -1 for none
    named = tokenizer.convert_ids_to_tokens(own) if known else None
    for token in (named, tokenizer.eos_token, tokenizer.unk_token, tokenizer.bos_token):
        if token is not None and token in special:
            return str(token)
    raise Refused(
        "The tokenizer of this model has no token to pad a batch with.",
        key=key,
        value=tokenizer.name_or_path,
        rule="a tokenizer with a token for padding, for the end of a text, or for unknown words",
        way_out="the name of one of its tokens as pad_token in tokenizer_config.json",
    )


def check_ends(module: Any, tokenizer: Any, *, key: str) -> None:
    """Refuse a tokenizer that leaves out the token whose state the head reads.

    Raises:
        Refused: a text does not end in it.
    """
    if not families.counts_ends(module):
        return
    end = module.config.eos_token_id
    if end not in tokenizer("a")["input_ids"]:
        raise Refused(
            f"A {type(module).__name__} reads the state of the token {end}, and this tokenizer "
            "puts none behind a text.",
            key=key,
            value=tokenizer.name_or_path,
            rule="a tokenizer that ends each text with the model's eos_token_id",
            way_out="the tokenizer's files from where the model comes from",
        )
