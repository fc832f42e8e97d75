"""Encodes texts as token ids, once per tokenizer; pads them batch by batch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor

from distill_runner.storage.integrity import Say, provide

if TYPE_CHECKING:
    from datasets import Dataset

_TOKENS = "tokens.arrow"

Inputs = dict[str, Tensor]  # input_ids, attention_mask, … each [batch, tokens]


class Encoder:
    """A tokenizer with a length limit."""

    def __init__(self, tokenizer: Any, max_tokens: int) -> None:
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens
        state = [max_tokens, sorted(tokenizer.model_input_names), _decided(tokenizer)]
        self.key = hashlib.sha256(json.dumps(state).encode()).hexdigest()[:16]

    def columns(self, pairs: bool) -> tuple[str, ...]:
        """Return the names of the model's inputs except the mask; segment ids only if they vary."""
        segments = "token_type_ids" in self.tokenizer.model_input_names
        needed = segments and (pairs or self._one_text_has_segments)
        return ("input_ids", "token_type_ids") if needed else ("input_ids",)

    @cached_property
    def _one_text_has_segments(self) -> bool:
        """Whether special tokens have their own segment, as XLNet's <cls> does."""
        return any(self.tokenizer("a")["token_type_ids"])

    def tokenize(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None
    ) -> dict[str, list[list[int]]]:
        """Return the token ids of each text or pair, with special tokens, cut to the limit."""
        return self.tokenize_counted(texts, pairs)[0]

    def tokenize_counted(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None
    ) -> tuple[dict[str, list[list[int]]], int]:
        """Return what `tokenize` does, and how many of the texts were cut."""
        names = self.columns(pairs is not None)
        encoded = self.tokenizer(
            list(texts),
            None if pairs is None else list(pairs),
            truncation=True,
            max_length=self.max_tokens,
            return_attention_mask=False,
            return_token_type_ids="token_type_ids" in names,
        )
        # Without special tokens an empty text has no ids, which models reject.
        instead = {"input_ids": [self._end], "token_type_ids": [0]}
        ids = {name: [row or instead[name] for row in encoded[name]] for name in names}
        return ids, self._count_cut(encoded)

    def _count_cut(self, encoded: Any) -> int:
        full = [at for at, row in enumerate(encoded["input_ids"]) if len(row) >= self.max_tokens]
        if not full or not encoded.is_fast:
            # A tokenizer in Python does not say what it cut off; texts that fit exactly count too.
            return len(full)
        return sum(bool(encoded.encodings[at].overflowing) for at in full)

    @property
    def _end(self) -> int:
        ends = (self.tokenizer.eos_token_id, self.tokenizer.pad_token_id)
        return int(next(one for one in ends if one is not None))

    def pad(self, columns: dict[str, list[np.ndarray]]) -> Inputs:
        """Pad rows of ids to the longest row, and return tensors [batch, tokens]."""
        rows = columns["input_ids"]
        width = max(len(row) for row in rows)
        mask = np.zeros((len(rows), width), dtype=np.int64)
        inputs = {}
        for name, values in columns.items():
            fill = self.tokenizer.pad_token_id if name == "input_ids" else 0
            padded = np.full((len(rows), width), fill, dtype=np.int64)
            for at, row in enumerate(values):
                padded[at, : len(row)] = row
                mask[at, : len(row)] = 1
            inputs[name] = torch.from_numpy(padded)
        inputs["attention_mask"] = torch.from_numpy(mask)
        return inputs


def _decided(tokenizer: Any) -> dict[str, Any]:
    """Return the tokenizer's state that determines ids, without paths, names and last limit."""
    if tokenizer.is_fast:
        found: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
        return found | {"truncation": None, "padding": None}
    with TemporaryDirectory() as folder:
        files = [Path(name) for name in tokenizer.save_pretrained(folder)]
        kept = {path.name: path.read_text(encoding="utf-8") for path in files if path.is_file()}
    return {"class": type(tokenizer).__qualname__, **kept}


class View(Protocol):
    """The rows of a table as one learner reads them."""

    @property
    def lengths(self) -> np.ndarray:
        """[rows], tokens of each row without noise."""
        ...

    def inputs(self, rows: np.ndarray, epoch: int) -> Inputs:
        """Return the padded inputs of `rows` in `epoch`."""
        ...


@dataclass(frozen=True)
class Encoding:
    """The view without noise: every row is tokenised once."""

    encoder: Encoder
    tokens: Dataset  # Arrow, memory-mapped; one list column per model input
    lengths: np.ndarray

    def vocabulary(self) -> np.ndarray:
        """Return the sorted ids that occur, including padding. [ids]."""
        import pyarrow.compute as pc

        occurring = pc.unique(pc.list_flatten(self.tokens.data.column("input_ids"))).to_numpy()
        return np.union1d(occurring, [self.encoder.tokenizer.pad_token_id])

    def inputs(
        self,
        rows: np.ndarray,
        epoch: int = 0,  # noqa: ARG002
        copies: np.ndarray | None = None,  # noqa: ARG002
    ) -> Inputs:
        """Return the padded inputs of `rows`, the same in every epoch and for every copy."""
        table = self.tokens.with_format("arrow")[rows.tolist()]
        columns = {}
        for name in table.column_names:
            column = table.column(name).combine_chunks()
            bounds = column.offsets.to_numpy()
            flat = column.values.to_numpy()
            columns[name] = [flat[a:b] for a, b in pairwise(bounds)]
        return self.encoder.pad(columns)


def encode(
    table: Dataset, encoder: Encoder, *, fingerprint: str, store: Path, say: Say = print
) -> Encoding:
    """Tokenise every row of `table`, or load the result from the store.

    Args:
        table: columns id, text and, for pairs, text_pair.
        encoder: the tokenizer and its limit.
        fingerprint: identifies the table's rows.
        store: the store's folder.
        say: receives messages about damage.
    """
    from datasets import Dataset

    address = hashlib.sha256(json.dumps([fingerprint, encoder.key]).encode()).hexdigest()
    target = store / "encodings" / address[:24]
    pairs = "text_pair" in table.column_names

    def tokenize(batch: dict[str, list[str]]) -> dict[str, list[list[int]]]:
        return encoder.tokenize(batch["text"], batch.get("text_pair"))

    def make(folder: Path) -> None:
        table.map(
            tokenize,
            batched=True,
            remove_columns=table.column_names,
            cache_file_name=str(folder / _TOKENS),
            new_fingerprint=address[:16],
        )

    provide(target, make, say=say)
    tokens = Dataset.from_file(str(target / _TOKENS)).select_columns(list(encoder.columns(pairs)))
    return Encoding(encoder, tokens, _lengths(tokens))


def _lengths(tokens: Dataset) -> np.ndarray:
    import pyarrow.compute as pc

    column = tokens.data.column("input_ids")
    return np.asarray(pc.list_value_length(column).to_numpy(), dtype=np.int32)
