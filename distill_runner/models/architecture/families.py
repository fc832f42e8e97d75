"""Properties of transformers' text classifiers, listed class by class.

A shortcut applies only to the classes on which its output was compared with transformers'. Any
other architecture reads each batch as transformers would, in groups of rows of equal length.
"""

from __future__ import annotations

import inspect
from typing import Any

from torch import nn

from distill_runner.errors import Refused

_KNOWN = "ForSequenceClassification"
_HOMES = ("transformers.", "distill_runner.models.static")


def _names(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


def _classes(listed: str) -> frozenset[str]:
    return frozenset(f"{name}{_KNOWN}" for name in listed.split())


# Bidirectional, and every attention layer has its own dropout module (see `fast.attention`).
OWN_ATTENTION = _classes("Bert Roberta XLMRoberta Camembert DistilBert Electra")

# These look up the word embedding in one place only, with the ids of the text.
ONE_WORD_TABLE = OWN_ATTENTION | _classes(
    "Albert Deberta DebertaV2 GPT2 GPTNeoX Llama MPNet Mistral MobileBert ModernBert OPT Qwen2 "
    "Qwen3 Static"
)

# The body's first state attends to the whole text.
FIRST_STATE = OWN_ATTENTION | _classes(
    "Albert Deberta DebertaV2 Ernie MPNet MobileBert ModernBert RoFormer"
)

# Padding changes no row's output.
PADDING = OWN_ATTENTION | _classes(
    "AXK1 AXK2 Albert Arcee Bart BigBird BigBirdPegasus BioGpt Bloom CTRL Data2VecText Deberta "
    "DebertaV2 DeepseekV2 DeepseekV3 DiffLlama Doge Ernie Esm Esmc EuroBert Exaone4 Falcon GPT2 "
    "GPTBigCode GPTJ GPTNeo GPTNeoX Gemma Gemma2 Gemma3 Gemma3Text Glm Glm4 GptOss Gte Helium "
    "HunYuanDenseV1 HunYuanMoEV1 IBert Jamba JetMoe JinaEmbeddingsV3 LayoutLM LayoutLMv3 Lilt "
    "Llama Longformer Luke MBart MPNet MT5 MarkupLM MegatronBert MiniCPM3 MiniMax Ministral "
    "Ministral3 Mistral Mistral4 Mixtral MobileBert ModernBert ModernBertDecoder ModernVBert Mpt "
    "Mvp Nemotron NomicBert OPT Olmo Olmo2 Olmo3 OpenAIGPT PLBart Perceiver Persimmon Phi Phi3 "
    "Phimoe Qwen2 Qwen2Moe Qwen3 Qwen3Moe Qwen3Next Qwen3_5 Qwen3_5Text RemBert RoCBert RoFormer "
    "RobertaPreLayerNorm SeedOss SmolLM3 SqueezeBert StableLm Starcoder2 Static T5 Tapas UMT5 "
    "Ultrabert UltraVBert XLMRobertaXL Xmod"
)

# The head reads the last <eos> and assumes the same number of them in every row of a batch.
_COUNTS_ENDS = _classes("Bart BigBirdPegasus MBart MT5 Mvp PLBart T5 UMT5")

# Positions are numbered from padding id + 1.
_COUNTS_FROM_PADDING = _names(
    "camembert data2vec-text esm ibert layoutlmv3 lilt longformer luke markuplm mpnet roberta "
    "roberta-prelayernorm xlm-roberta xlm-roberta-xl xmod"
)

# These look up segment numbers in the word embedding.
_SEGMENTS_ARE_WORDS = _names("ctrl flaubert gpt-sw3 gpt2 openai-gpt xlm")

# torch has no forward-mode derivative for some operation of these.
_NO_FORWARD_DERIVATIVE = _classes("Bloom Phimoe Yoso")

_CANNOT = {
    "layoutlmv2": "it reads the image of a page as well as its text",
    "mra": "its attention is a CUDA kernel, and without it every text gets the same logits",
    "reformer": "it can only be trained on texts of one fixed number of tokens",
}


def fits(module: Any, classes: frozenset[str]) -> bool:
    """Return whether the module's class is one of these, defined in transformers or here."""
    cls = type(module)
    return cls.__name__ in classes and cls.__module__.startswith(_HOMES)


def word_table(module: Any) -> nn.Embedding | None:
    """Return the embedding that token ids are looked up in; None if the model has no such table."""
    try:
        table = module.get_input_embeddings()
    except NotImplementedError:  # CANINE hashes characters
        return None
    return table if isinstance(table, nn.Embedding) else None


def counts_ends(module: Any) -> bool:
    """Return whether the module's head reads the last `eos_token_id` of every row."""
    return fits(module, _COUNTS_ENDS)


def check_supported(model_type: object, *, key: str) -> None:
    """Refuse an architecture that distill-run cannot use.

    Raises:
        Refused: the architecture is known not to work.
    """
    if (why := _CANNOT.get(str(model_type))) is not None:
        raise Refused(
            f"A {model_type} cannot be used: {why}.",
            key=key,
            value=model_type,
            rule="an encoder or a decoder that reads texts of any length",
        )


def check_forward_derivative(module: Any, *, key: str) -> None:
    """Refuse a student whose logits have no forward-mode derivative.

    Raises:
        Refused: the architecture is known to have none.
    """
    mixed = any(type(part).__name__.endswith("Experts") for part in module.modules())
    if mixed or fits(module, _NO_FORWARD_DERIVATIVE):
        raise no_forward_derivative(module, key=key)


def no_forward_derivative(module: nn.Module, *, key: str) -> Refused:
    """Return the refusal of a student without a forward-mode derivative."""
    return Refused(
        f"The exact derivative of a {type(module).__name__} cannot be taken.",
        key=key,
        value=type(module).__name__.removesuffix(_KNOWN),
        rule="an architecture whose every part torch can differentiate forwards",
        way_out="method.derivative=finite_difference",
    )


def check_first_state(module: Any, *, key: str) -> None:
    """Refuse a student whose first state does not attend to the whole text; soft heads read it.

    Raises:
        Refused: the class is not in `FIRST_STATE`.
    """
    if not fits(module, FIRST_STATE):
        names = sorted(name.removesuffix(_KNOWN) for name in FIRST_STATE)
        raise Refused(
            f"Soft heads cannot read the states of a {type(module).__name__}.",
            key=key,
            value=type(module).__name__.removesuffix(_KNOWN),
            rule=f"an encoder whose first state represents the text: {', '.join(names)}",
            way_out="method=kd",
        )


def first_position(config: Any) -> int:
    """Return the position number of a text's first token."""
    return config.pad_token_id + 1 if config.model_type in _COUNTS_FROM_PADDING else 0


def positions(config: Any) -> int | None:
    """Return the maximum number of tokens in a text; None if there is no limit."""
    text = config.get_text_config()
    found = getattr(text, "max_position_embeddings", None)
    if not isinstance(found, int) or found < 1:
        return None
    offset = first_position(config) if isinstance(config.pad_token_id, int) else 0
    return found - offset


def read_columns(cls: type, model_type: str, columns: list[str]) -> list[str]:
    """Return the tokenizer's columns that a model of this class reads.

    Args:
        cls: the classifier's class.
        model_type: the `model_type` of its config.
        columns: the names of the tokenizer's columns.
    """
    taken = inspect.signature(cls.forward).parameters  # type: ignore[attr-defined]
    segments = "token_type_ids" in taken and model_type not in _SEGMENTS_ARE_WORDS
    return [name for name in columns if name != "token_type_ids" or segments]


def settle(config: Any, *, padding: int | None) -> None:
    """Change a config so that a row's output does not depend on the other rows of its batch.

    Args:
        config: the config of a model that is not built yet; changed in place.
        padding: the tokenizer's padding id; None if the model will read no text.
    """
    config.return_dict = True  # outputs by name instead of by position
    if getattr(config, "attention_type", None) == "block_sparse":
        # BigBird draws blocks at random, and one short batch turns that off permanently.
        config.attention_type = "original_full"
    if padding is not None and config.model_type not in _COUNTS_FROM_PADDING:
        # A decoder's head finds the last token by the padding id.
        config.pad_token_id = config.get_text_config().pad_token_id = padding
