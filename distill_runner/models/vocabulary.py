"""Cuts the word embedding to the token ids that a stage reads.

Most of a small model's weights are embeddings of words that its data never contain. They get no
gradient, yet every step zeroes, clips and updates them. AdamW only decays them, so a single row
of ones takes their place: after training, its value is the factor by which the removed rows are
multiplied when they are put back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from distill_runner.models.architecture import families
from distill_runner.models.learner import Learner

# Cut only if at least this share of the rows goes, as cutting has a cost too.
_WORTH = 0.2


@contextmanager
def cut_to(learner: Learner, ids: np.ndarray) -> Iterator[None]:
    """Cut the learner's embedding to the rows of `ids` inside the block; ids stay the same.

    A model stays unchanged if it shares its embedding with another part, would lose few rows, or
    is not known to look tokens up in one place only.

    Args:
        learner: the learner; inside the block it refuses tokens outside `ids`.
        ids: every token id that it will read, [ids], in any order.
    """
    table = word_table(learner)
    kept = None if table is None else _kept(table, ids)
    if table is None or kept is None:
        yield
        return
    full, padding = table.weight.detach(), table.padding_idx
    places = torch.full((len(full),), -1, dtype=torch.long, device=full.device)
    places[kept] = torch.arange(len(kept), device=full.device)
    # Renumber at the lookup only: elsewhere the model compares ids with the padding id.
    renumbered = table.register_forward_pre_hook(lambda _, inputs: (places[inputs[0]],))
    rows = torch.cat([full[kept], full.new_ones(1, full.shape[1])])
    _set(table, rows, padding=None if padding is None else int(places[padding]))
    try:
        with learner.reading_only((places >= 0).cpu()):
            yield
    finally:
        renumbered.remove()
        trained = table.weight.detach()
        restored = full * trained[-1]
        restored[kept] = trained[:-1]
        _set(table, restored, padding=padding)


def word_table(learner: Learner) -> nn.Embedding | None:
    """Return the learner's word embedding; None if it is frozen, shared or looked up twice."""
    module: Any = learner.module
    if not families.fits(module, families.ONE_WORD_TABLE):
        return None
    table = module.get_input_embeddings()
    if type(table) is not nn.Embedding or not table.weight.requires_grad:
        return None
    named = module.named_parameters(remove_duplicate=False)
    return table if sum(weight is table.weight for _, weight in named) == 1 else None


def _kept(table: nn.Embedding, ids: np.ndarray) -> Tensor | None:
    """Return the ids that stay, in ascending order; None if too few rows would go."""
    padding = [] if table.padding_idx is None else [table.padding_idx]
    kept = np.union1d(padding, ids).astype(np.int64)
    if len(kept) > (1 - _WORTH) * table.num_embeddings:
        return None
    return torch.from_numpy(kept).to(table.weight.device)


def _set(table: nn.Embedding, rows: Tensor, *, padding: int | None) -> None:
    table.weight = nn.Parameter(rows)
    table.num_embeddings = len(rows)
    table.padding_idx = padding
