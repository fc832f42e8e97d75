"""Samples a few batches that represent a whole epoch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from distill_runner.errors import Refused


@dataclass(frozen=True)
class Batch:
    """The rows of one step, and their position in the contender's order."""

    epoch: int
    at: int  # position within the epoch
    rows: np.ndarray
    tokens: int  # in the sentences
    padded: int  # including padding


def choose_positions(costs: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Choose `count` positions spread evenly over the sorted costs.

    The sorted costs are cut into `count` bins of equal size, and one entry is taken from each bin.
    With different offsets in every round, the rounds cover all parts of a bin.

    Args:
        costs: the cost of each batch of an epoch, such as its padded tokens.
        offsets: [count], the entry's place in each bin, 0..1, 1 excluded.

    Returns:
        [count], ascending: the order in which they occur in an epoch.

    Raises:
        Refused: an epoch has fewer than `count` batches.
    """
    count = len(offsets)
    if count > len(costs):
        raise Refused(
            "An epoch has fewer full batches than a chunk needs.",
            key="--steps",
            value=count,
            rule=f"at most {len(costs)}, or more --rows",
        )
    at = np.floor((np.arange(count) + offsets) / count * len(costs)).astype(int)
    return np.sort(np.argsort(costs, kind="stable")[at])


def offsets_of(number: int, *, rounds: int, count: int) -> np.ndarray:
    """Return the places within the bins of chunk `number`, 0..1. [count].

    Over all rounds, each bin gets each place once.
    """
    return ((number + np.arange(count)) % rounds + 0.5) / rounds


def chunk_of(
    epoch: int,
    order: list[np.ndarray],
    lengths: np.ndarray,
    *,
    width: int | None,
    offsets: np.ndarray,
    packed: bool = False,
) -> list[Batch]:
    """Choose a few batches that represent this epoch, without a short one.

    Args:
        epoch: the epoch's number.
        order: the rows of each of its batches.
        lengths: [rows], tokens of each row.
        width: tokens that every row is padded to; None pads to a batch's longest row.
        offsets: one for each batch to choose; see `choose_positions`.
        packed: whether rows are read without padding.
    """
    size = max(len(rows) for rows in order)  # the short batch may be anywhere
    full = [at for at, rows in enumerate(order) if len(rows) == size]
    padded = np.array([count_tokens(lengths[order[at]], width, packed=packed) for at in full])
    chosen = choose_positions(padded, offsets)
    return [
        Batch(
            epoch,
            full[at],
            order[full[at]],
            int(lengths[order[full[at]]].sum()),
            int(padded[at]),
        )
        for at in chosen
    ]


def count_tokens(lengths: np.ndarray, width: int | None, *, packed: bool) -> int:
    """Return the tokens of one batch, including padding."""
    return int(lengths.sum() if packed else len(lengths) * (width or lengths.max()))
