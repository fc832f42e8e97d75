"""Which rows make up which step is a function of (seed, epoch) and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from distill_runner.config.schema import Batching
from distill_runner.data.batches import Order, quiz_rows

LENGTHS = np.random.default_rng(0).integers(3, 60, size=1003)

both_ways = pytest.mark.parametrize("batching", list(Batching))


def order(batching: Batching = Batching.by_length, **changes: object) -> Order:
    settings = {"lengths": LENGTHS, "batch_size": 16, "seed": 1, "batching": batching, **changes}
    return Order(**settings)  # type: ignore[arg-type]


def alike(ours: list[np.ndarray], theirs: list[np.ndarray]) -> bool:
    return len(ours) == len(theirs) and all(map(np.array_equal, ours, theirs))


def padding(batches: list[np.ndarray]) -> int:
    """Tokens of padding in an epoch."""
    return sum(int((LENGTHS[rows].max() - LENGTHS[rows]).sum()) for rows in batches)


@both_ways
@pytest.mark.parametrize("batch_size", [1, 16, 59, 1003, 4000])
def test_every_row_comes_once_an_epoch(batching: Batching, batch_size: int) -> None:
    batches = order(batching, batch_size=batch_size).epoch(0)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(LENGTHS)))


@both_ways
def test_the_last_short_batch_is_kept_and_is_the_only_short_one(batching: Batching) -> None:
    given = order(batching)
    sizes = sorted(len(rows) for rows in given.epoch(0))
    assert sizes == [1003 % 16] + [16] * (1003 // 16)
    assert given.batches_per_epoch == len(sizes)


@both_ways
def test_an_epoch_can_be_replayed_alone(batching: Batching) -> None:
    given = order(batching)
    for epoch in range(5):
        given.epoch(epoch)
    np.random.default_rng().random()
    assert alike(given.epoch(3), order(batching).epoch(3))


@both_ways
def test_another_epoch_or_seed_is_another_order(batching: Batching) -> None:
    first = order(batching).epoch(0)
    assert not alike(first, order(batching).epoch(1))
    assert not alike(first, order(batching, seed=2).epoch(0))


def test_batches_by_length_hold_far_less_padding() -> None:
    assert padding(order().epoch(0)) < 0.2 * padding(order(Batching.random).epoch(0))


def test_batches_by_length_come_in_no_order_of_length() -> None:
    means = [LENGTHS[rows].mean() for rows in order().epoch(0)]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.4


def test_a_rows_company_changes_with_the_epoch() -> None:
    def company(epoch: int) -> set[int]:
        (rows,) = [rows for rows in order().epoch(epoch) if 7 in rows]
        return set(rows.tolist())

    assert len({frozenset(company(epoch)) for epoch in range(4)}) == 4


def test_random_batches_do_not_look_at_lengths() -> None:
    other = order(Batching.random, lengths=LENGTHS[::-1].copy())
    assert alike(other.epoch(0), order(Batching.random).epoch(0))


def test_quiz_rows_are_drawn_without_repeats_and_can_be_replayed() -> None:
    drawn = quiz_rows(100, 32, seed=1, epoch=2, step=3)
    assert len(set(drawn.tolist())) == 32
    assert drawn.min() >= 0
    assert drawn.max() < 100
    assert np.array_equal(drawn, quiz_rows(100, 32, seed=1, epoch=2, step=3))
    for place in ({"seed": 2}, {"epoch": 3}, {"step": 4}):
        at = {"seed": 1, "epoch": 2, "step": 3, **place}
        assert not np.array_equal(drawn, quiz_rows(100, 32, **at))


@pytest.mark.parametrize("size", [None, 100, 500])
def test_all_quiz_rows_are_taken_where_all_are_asked_for(size: int | None) -> None:
    assert quiz_rows(100, size, seed=1, epoch=0, step=0).tolist() == list(range(100))


def test_in_the_long_run_every_quiz_row_is_drawn_alike() -> None:
    counts = np.zeros(20)
    for step in range(500):
        counts[quiz_rows(20, 5, seed=1, epoch=0, step=step)] += 1
    assert counts.min() > 85
    assert counts.max() < 165
