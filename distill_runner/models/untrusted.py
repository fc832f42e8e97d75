"""Checks model folders from unknown sources: each is read completely or refused with one sentence.

Code that comes with a model is never run, sizes are checked before memory is allocated, and
weights or vocabularies that do not belong to the architecture are refused before training.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from distill_runner.errors import Refused
from distill_runner.hub.files import WEIGHTS, check_vocabulary, weights_of
from distill_runner.hub.locate import read_config
from distill_runner.models.architecture import families

CONFIG = "a config.json of a text classifier"
TOKENIZER = "a folder with tokenizer.json"

_SIZES = ("num_hidden_layers", "n_layers", "n_layer", "hidden_size", "dim", "n_embd",
          "num_attention_heads", "n_heads", "n_head", "vocab_size")  # fmt: skip
_MOST_LAYERS = 1000
_MOST_COUNTED = 100_000  # limit of every other count in a config: labels, heads, experts
_MOST_MISSING_WORDS = 1000


@contextmanager
def reading(what: str, folder: Path, *, key: str, rule: str) -> Iterator[None]:
    """Turn any error of a library that reads a model's files into a refusal.

    From here on transformers logs errors only and shows no progress bars.

    Args:
        what: the thing being read, such as "The tokenizer".
        folder: the model's folder.
        key: the configuration key to blame.
        rule: what the folder should contain.
    """
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    except (Refused, MemoryError):
        raise
    except Exception as error:  # parsers of malformed files raise anything
        raise Refused(
            f"{what} of this model cannot be read: {_reason(error)}",
            key=key,
            value=str(folder),
            rule=rule,
        ) from None


def _reason(error: Exception) -> str:
    message = str(error)
    if "trust_remote_code" in message:
        return "it needs code of its own, which distill-run never runs."
    if "weights_only" in message or "Weights only" in message:
        return "its pickle holds more than tensors, and distill-run runs nothing in a pickle."
    return f"{type(error).__name__}: {' '.join(message.split())[:300]}"


def check_config(folder: Path, *, key: str) -> nn.Module:
    """Build the classifier that a folder's config describes, on the meta device.

    Raises:
        Refused: the config is not of a text classifier, or of one larger than this machine's
            memory.
    """
    from transformers import CONFIG_MAPPING, AutoConfig, AutoModelForSequenceClassification

    found = read_config(folder)
    kind = found.get("model_type")
    if not isinstance(kind, str) or kind not in CONFIG_MAPPING:
        raise _bad_config(folder, key, f"model_type is {kind!r}, which transformers does not know")
    families.check_supported(kind, key=key)
    for name, value in found.items():
        _check_number(folder, key, name, value)
    with reading("config.json", folder, key=key, rule=CONFIG), torch.device("meta"):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        families.settle(config, padding=None)
        module: nn.Module = AutoModelForSequenceClassification.from_config(
            config, trust_remote_code=False
        )
        size = 4 * sum(weight.numel() for weight in module.parameters())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size > memory:
        what = f"it needs {size / 1e9:,.0f} GB, and this machine has {memory / 1e9:,.0f} GB"
        raise _bad_config(folder, key, what)
    return module


def _check_number(folder: Path, key: str, name: str, value: object) -> None:
    """Refuse sizes that are not positive, and numbers so large that building would not end."""
    if name in _SIZES and (type(value) is not int or value < 1):
        raise _bad_config(folder, key, f"{name} is {str(value)[:40]!r}")
    if isinstance(value, int | float):
        most = _MOST_LAYERS if "layers" in name else _MOST_COUNTED
        if (name.startswith("num_") or "layers" in name) and not value <= most:
            raise _bad_config(folder, key, f"{name} is {value:g}, more than {most:,}")


def _bad_config(folder: Path, key: str, what: str) -> Refused:
    return Refused(
        f"config.json of this model cannot be read: {what}.",
        key=key,
        value=str(folder),
        rule=CONFIG,
    )


def check_words(module: nn.Module, tokenizer: Any, folder: Path, *, key: str) -> None:
    """Refuse a tokenizer that does not belong to the model.

    Args:
        module: the folder's model; its weights are not read.
        tokenizer: the folder's tokenizer.
        folder: the model's folder.
        key: the configuration key to blame.

    Raises:
        Refused: the folder has no vocabulary, or its size does not fit the embedding.
    """
    check_vocabulary(folder, key=key)
    table = families.word_table(module)
    if table is None:
        return
    rows, words = table.num_embeddings, len(tokenizer)
    highest = max(tokenizer.get_vocab().values(), default=0)
    # An embedding is often padded to a multiple of 128, and rarely by more than half.
    if highest >= rows or (2 * words < rows and rows - words > _MOST_MISSING_WORDS):
        raise Refused(
            f"The tokenizer in {folder} belongs to another model: it has {words:,} tokens with ids "
            f"up to {highest:,}, and the embedding has {rows:,} rows.",
            key=key,
            value=str(folder),
            rule="one token for each row of the embedding, apart from a few rows of padding",
            way_out="the tokenizer files that were published with the model",
        )


def check_weights(folder: Path, *, key: str) -> None:
    """Refuse weights that cannot be read; only the headers of safetensors files are read.

    Raises:
        Refused: a file is truncated, has another format, or holds more than tensors.
    """
    from safetensors import safe_open

    for name in weights_of(folder, key=key):
        with reading(name, folder, key=key, rule=WEIGHTS):
            if name.endswith("tensors"):
                with safe_open(folder / name, framework="pt") as file:
                    file.keys()
            else:
                torch.load(folder / name, map_location="meta", weights_only=True)


def check_loaded(
    loading_info: dict[str, Any], module: Any, folder: Path, *, key: str, head: bool
) -> None:
    """Refuse weights that leave part of the body, or of the head, randomly initialised.

    Args:
        loading_info: the loading info that transformers returned.
        module: the loaded model.
        folder: the model's folder.
        key: the configuration key to blame.
        head: whether the head must come from the folder too.

    Raises:
        Refused: a weight is missing or has another shape.
    """
    body = f"{module.base_model_prefix}."
    misfits = [str(item[0]) for item in loading_info["mismatched_keys"]] + [
        # A pooler belongs to the head: masked-LM pre-training has none.
        name
        for name in loading_info["missing_keys"]
        if head or "pooler" not in name
    ]
    wrong = sorted(name for name in misfits if head or name.startswith(body))
    if wrong:
        raise Refused(
            f"The weights in {folder} do not fit its architecture: {len(wrong)} are missing or "
            f"have another shape, such as {wrong[0]}.",
            key=key,
            value=str(folder),
            rule=WEIGHTS,
        )


def unknown_share(tokens: Iterable[Any], tokenizer: Any) -> float:
    """Return the share of unknown tokens among the encoded texts' ordinary tokens, 0..1.

    Args:
        tokens: chunks of an Arrow column of token-id lists.
        tokenizer: the tokenizer that encoded them.
    """
    unknown, total = count_unknown(tokens, tokenizer)
    return unknown / total if total else 0.0


def count_unknown(tokens: Iterable[Any], tokenizer: Any) -> tuple[int, int]:
    """Return the numbers of unknown tokens and of ordinary ones, which include the unknown.

    Args:
        tokens: chunks of an Arrow column of token-id lists.
        tokenizer: the tokenizer that encoded them.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    unknown, special = tokenizer.unk_token_id, set(tokenizer.all_special_ids)
    roles = ("bos", "eos", "sep", "cls", "pad", "mask")
    if unknown in {getattr(tokenizer, f"{role}_token_id") for role in roles}:
        unknown = None
    missed = total = 0
    known = pa.array(sorted(special - {unknown}), pa.int64())
    for chunk in tokens:
        ids = pc.cast(pc.list_flatten(chunk), pa.int64())
        if unknown is not None:
            missed += pc.sum(pc.equal(ids, unknown)).as_py() or 0
        total += len(ids) - (pc.sum(pc.is_in(ids, known)).as_py() or 0)
    return missed, total
