"""Tokenises and pads rows for peers with transformers' own tools."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.setting import Setting


class Texts:
    """A split, tokenised once with the teacher's tokenizer.

    Args:
        setting: the race's setting, for the data and the tokenizer.
        split: train or quiz.
        padded: pad every row to the limit when tokenising; otherwise a collator pads each batch
            to its longest row.
    """

    def __init__(self, setting: Setting, split: str, *, padded: bool) -> None:
        from transformers import AutoTokenizer, DataCollatorWithPadding

        self.tokenizer = AutoTokenizer.from_pretrained(
            setting.models.teacher, trust_remote_code=False
        )
        table = setting.data.splits[split]
        limit = setting.options.max_tokens
        began = time.perf_counter()
        encoded = self.tokenizer(
            list(table["text"]),
            list(table["text_pair"]) if "text_pair" in table.column_names else None,
            truncation=True,
            max_length=limit,
            padding="max_length" if padded else False,
        )
        self.labels = torch.tensor(list(table["label"]))
        self._lists: dict[str, list[list[int]]] = dict(encoded)
        self._fixed: dict[str, Tensor] = {}
        if padded:
            self._fixed = {name: torch.tensor(rows) for name, rows in self._lists.items()}
        self.seconds = time.perf_counter() - began
        self.lengths = np.array([sum(mask) for mask in self._lists["attention_mask"]])
        self._collate = DataCollatorWithPadding(self.tokenizer)

    def rows(self) -> Any:
        """Return the rows as a datasets table with a column `labels`, for a Trainer."""
        import datasets

        return datasets.Dataset.from_dict({**self._lists, "labels": self.labels.tolist()})

    def batch(self, rows: Iterable[int]) -> dict[str, Tensor]:
        """Return the model inputs and `labels` of these rows."""
        at = list(rows)
        if self._fixed:
            found = {name: column[at] for name, column in self._fixed.items()}
        else:
            found = dict(self._collate([{k: v[row] for k, v in self._lists.items()} for row in at]))
        return {**found, "labels": self.labels[at]}
