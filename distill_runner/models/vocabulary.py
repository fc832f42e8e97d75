"""The word embedding cut to the token ids that a stage reads.

Most of a small model's weights are rows of words that its data never say. They get no
gradient, and yet every step fills, measures and steps over them. AdamW does one thing to
them: it decays them. So does it to a row of ones that nobody reads, and what that row has
become in the end is what the rows left out are multiplied by when they come back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from distill_runner.models.learner import Learner

# Below this share of rows left out, the detour is not worth it.
_WORTH = 0.2


@contextmanager
def cut_to(learner: Learner, ids: np.ndarray) -> Iterator[None]:
    """Inside, the learner has the words `ids` alone, under the same ids; afterwards all again.

    Nothing changes for a model whose word table is also its output layer, or small.

    Args:
        learner: its logits raise an IndexError for a token outside `ids`.
        ids: every token id that it will read. [ids], any order.
    """
    table = _word_table(learner)
    kept = _kept(table, ids) if table is not None else None
    if table is None or kept is None:
        yield
        return
    full = table.weight.detach()
    rows = torch.cat([full[kept], full.new_ones(1, full.shape[1])])
    places = torch.full((len(full),), -1, dtype=torch.long, device=full.device)
    places[kept] = torch.arange(len(kept), device=full.device)
    _set(table, rows)
    try:
        with learner.renumbering(places):
            yield
    finally:
        trained = table.weight.detach()
        restored = full * trained[-1]
        restored[kept] = trained[:-1]
        _set(table, restored)


def _word_table(learner: Learner) -> nn.Embedding | None:
    module: Any = learner.module
    table = module.get_input_embeddings()
    plain = type(table) is nn.Embedding and table.weight.requires_grad
    return table if plain and module.get_output_embeddings() is None else None


def _kept(table: nn.Embedding, ids: np.ndarray) -> Tensor | None:
    """The ids that stay, in order; None where too few would go."""
    # RoBERTa counts positions by comparing with the padding id: that one keeps its number.
    low = np.arange((table.padding_idx or 0) + 1)
    kept = np.union1d(low, ids)
    if len(kept) > (1 - _WORTH) * table.num_embeddings:
        return None
    return torch.from_numpy(kept).to(table.weight.device)


def _set(table: nn.Embedding, rows: Tensor) -> None:
    table.weight = nn.Parameter(rows)
    table.num_embeddings = len(rows)
