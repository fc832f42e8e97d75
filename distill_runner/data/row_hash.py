"""Hashes of rows by their texts alone."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from distill_runner.data.held_out import Texts

if TYPE_CHECKING:
    from datasets import Dataset

COLUMNS = ("text", "text_pair")  # of a prepared split; pairs have both
_BATCH_ROWS = 10_000


def hash_rows(table: Dataset) -> str:
    """Return the sha256 over the rows' texts, in order."""
    names, digest = [name for name in COLUMNS if name in table.column_names], hashlib.sha256()
    for batch in table.select_columns(names).iter(_BATCH_ROWS):
        for row in zip(*(batch[name] for name in names), strict=True):
            digest.update(hash_row(row))
    return digest.hexdigest()


def hash_row(row: Texts) -> bytes:
    """Return a digest of a row's texts, 16 bytes."""
    return hashlib.blake2b(json.dumps(row).encode(), digest_size=16).digest()
