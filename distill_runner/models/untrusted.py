"""Model folders that anybody may have written: read whole, or refused with one sentence.

Nothing that comes with a model is run, no size is believed before it is measured, and weights
and words that do not belong to the architecture are found before anything is trained on them.
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
_MOST_COUNTED = 100_000  # of what a config has a number of: labels, heads, experts
_MOST_MISSING_WORDS = 1000


@contextmanager
def reading(what: str, folder: Path, *, key: str, rule: str) -> Iterator[None]:
    """Whatever a library raises over a model's files becomes one refusal.

    Of what transformers says from then on, errors alone are shown, and no bars.

    Args:
        what: is read, such as "The tokenizer".
        folder: of the model.
        key: the configuration key to blame.
        rule: what the folder should hold.
    """
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    except (Refused, MemoryError):
        raise
    except Exception as error:  # a parser of files that anybody wrote raises what it raises
        raise Refused(
            f"{what} of this model cannot be read: {_reason(error)}",
            key=key,
            value=str(folder),
            rule=rule,
        ) from None


def _reason(error: Exception) -> str:
    said = str(error)
    if "trust_remote_code" in said:
        return "it comes with code of its own, which is never run here."
    if "weights_only" in said or "Weights only" in said:
        return "its pickle holds more than tensors, and nothing in a pickle is run here."
    return f"{type(error).__name__}: {' '.join(said.split())[:300]}"


def check_config(folder: Path, *, key: str) -> nn.Module:
    """The classifier that a folder's config describes, without weights.

    Raises:
        Refused: it describes none, or one that is larger than this machine's memory.
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
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size > there:
        what = f"it asks for {size / 1e9:,.0f} GB, and this machine has {there / 1e9:,.0f} GB"
        raise _bad_config(folder, key, what)
    return module


def _check_number(folder: Path, key: str, name: str, value: object) -> None:
    """Refuse a number that would take forever before its size could be measured."""
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
        module: of the folder; its weights do not matter.
        tokenizer: of the folder.

    Raises:
        Refused: the folder has no vocabulary, or one of another size than the embedding.
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
            f"The tokenizer in {folder} is of another model: {words:,} tokens, ids up to "
            f"{highest:,}, for {rows:,} rows of the embedding.",
            key=key,
            value=str(folder),
            rule="a token for each row of the embedding, but for some that fill it up",
            way_out="the tokenizer's files from where the model comes from",
        )


def check_weights(folder: Path, *, key: str) -> None:
    """Refuse weights that cannot be read, from their headers where the format has any.

    Raises:
        Refused: a file is cut short, is of another format, or holds more than tensors.
    """
    from safetensors import safe_open

    for name in weights_of(folder, key=key):
        with reading(name, folder, key=key, rule=WEIGHTS):
            if name.endswith("tensors"):
                with safe_open(folder / name, framework="pt") as file:
                    file.keys()
            else:
                torch.load(folder / name, map_location="meta", weights_only=True)


def check_loaded(told: dict[str, Any], module: Any, folder: Path, *, key: str, head: bool) -> None:
    """Refuse weights that left a part of the body, or of the head, as it was drawn at random.

    Args:
        told: what transformers says of the loading.
        module: as loaded.
        head: the head is of the folder too.
    """
    body = f"{module.base_model_prefix}."
    odd = [str(item[0]) for item in told["mismatched_keys"]] + [
        # A pooler belongs to the head: pre-training by hidden words has none.
        name
        for name in told["missing_keys"]
        if head or "pooler" not in name
    ]
    ours = sorted(name for name in odd if head or name.startswith(body))
    if ours:
        raise Refused(
            f"The weights in {folder} are not those of its architecture: {len(ours)} are missing "
            f"or of another shape, such as {ours[0]}.",
            key=key,
            value=str(folder),
            rule=WEIGHTS,
        )


def unknown_share(tokens: Iterable[Any], tokenizer: Any) -> float:
    """Which share of the words in encoded texts the tokenizer does not know.

    Args:
        tokens: chunks of a column of token ids.
        tokenizer: as it encoded them.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    unknown, special = tokenizer.unk_token_id, set(tokenizer.all_special_ids)
    roles = ("bos", "eos", "sep", "cls", "pad", "mask")
    if unknown is None or unknown in {getattr(tokenizer, f"{role}_token_id") for role in roles}:
        return 0.0
    missed = total = 0
    known = pa.array(sorted(special - {unknown}), pa.int64())
    for chunk in tokens:
        ids = pc.cast(pc.list_flatten(chunk), pa.int64())
        missed += pc.sum(pc.equal(ids, unknown)).as_py() or 0
        total += len(ids) - (pc.sum(pc.is_in(ids, known)).as_py() or 0)
    return missed / total if total else 0.0
