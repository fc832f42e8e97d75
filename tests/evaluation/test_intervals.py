"""Intervals equal those computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from distill_runner.evaluation.metrics.intervals import (
    bootstrap_interval,
    mean_interval,
    paired_rows_interval,
    proportion_interval,
)


def test_a_share_has_wilsons_interval() -> None:
    # 1,876 of 2,000 right: the printed example of a table's 93.8.
    found = proportion_interval(1876, 2000)
    z, n, share = 1.9599639845, 2000, 0.938
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    assert (found.low, found.high) == pytest.approx((middle - reach, middle + reach))


def test_the_intervals_are_scipys() -> None:
    from scipy.stats import binomtest, t

    for right, rows in ((0, 7), (3, 7), (7, 7), (1876, 2000)):
        theirs = binomtest(right, rows).proportion_ci(confidence_level=0.95, method="wilson")
        ours = proportion_interval(right, rows)
        assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))
    values = [1.0, 2.0, 4.0, 8.0]
    theirs = t.interval(0.95, 3, np.mean(values), np.std(values, ddof=1) / 2)
    found = mean_interval(values)
    assert found is not None
    assert (found.low, found.high) == pytest.approx(theirs)


def test_a_share_of_all_or_none_stays_within_0_and_1_and_is_not_certain() -> None:
    z2 = 1.9599639845**2
    none, every = proportion_interval(0, 20), proportion_interval(20, 20)
    assert none.low == 0.0
    assert none.high == pytest.approx(z2 / (20 + z2))
    assert (every.low, every.high) == pytest.approx((1 - z2 / (20 + z2), 1.0))


def test_a_paired_difference_looks_only_at_rows_where_the_two_disagree() -> None:
    ours = np.array([True] * 70 + [True] * 12 + [False] * 5 + [False] * 13)
    theirs = np.array([True] * 70 + [False] * 12 + [True] * 5 + [False] * 13)
    found = paired_rows_interval(ours, theirs)
    centre = 0.07
    variance = (17 - 100 * centre**2) / 99
    reach = 1.96 * math.sqrt(variance / 100)
    assert (found.low, found.high) == pytest.approx((centre - reach, centre + reach))


def test_pairing_narrows_the_interval_of_like_models() -> None:
    generator = np.random.default_rng(0)
    ours = generator.random(2000) < 0.9
    theirs = np.where(generator.random(2000) < 0.02, ~ours, ours)
    found = paired_rows_interval(ours, theirs)
    unpaired = 2 * 1.96 * math.sqrt(2 * 0.9 * 0.1 / 2000)
    assert found.high - found.low < 0.5 * unpaired


def test_two_models_that_never_disagree_differ_by_nothing() -> None:
    same = np.array([True, False, True])
    found = paired_rows_interval(same, same)
    assert (found.low, found.high) == (0.0, 0.0)


def test_a_bootstrapped_mean_is_near_the_one_by_formula_and_the_same_every_time() -> None:
    draw = np.random.default_rng(2)
    ours, theirs = draw.random(500) < 0.9, draw.random(500) < 0.8

    def lead(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        return np.asarray(ours.mean(axis=-1) - theirs.mean(axis=-1))

    found, wanted = bootstrap_interval(lead, ours, theirs), paired_rows_interval(ours, theirs)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=0.006)
    assert found == bootstrap_interval(lead, ours, theirs)


def test_a_bootstrap_draws_the_rows_of_its_columns_together() -> None:
    ours = np.random.default_rng(3).random(200)
    found = bootstrap_interval(lambda a, b: (a - b).mean(axis=-1), ours, ours)
    assert (found.low, found.high) == (0.0, 0.0)


def test_a_mean_over_seeds_has_students_interval() -> None:
    found = mean_interval([90.0, 92.0, 94.0])
    # t(0.975, 2 degrees of freedom) = 4.302653; standard deviation 2.
    reach = 4.302653 * 2 / math.sqrt(3)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((92 - reach, 92 + reach))


def test_the_order_of_the_seeds_does_not_matter() -> None:
    assert mean_interval([1.0, 5.0, 2.0]) == mean_interval([5.0, 2.0, 1.0])


@pytest.mark.parametrize("values", [[], [93.1]])
def test_one_seed_has_no_interval(values: list[float]) -> None:
    assert mean_interval(values) is None
