"""Intervals equal those computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from distill_runner.evaluation.metrics.clusters import (
    contributions,
    effective_rows,
    mean_contributions,
)
from distill_runner.evaluation.metrics.estimate import (
    estimate,
    holm,
    interval_over_clusters,
)
from distill_runner.evaluation.metrics.intervals import proportion_interval

# --- a share ---------------------------------------------------------------------------------


def test_a_share_has_wilsons_interval() -> None:
    # 1,876 of 2,000 right: the printed example of a table's 93.8.
    found = proportion_interval(0.938, 2000)
    z, n, share = 1.9599639845, 2000, 0.938
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    assert (found.low, found.high) == pytest.approx((middle - reach, middle + reach))


def test_wilsons_interval_is_scipys() -> None:
    from scipy.stats import binomtest

    for right, rows in ((0, 7), (3, 7), (7, 7), (1876, 2000)):
        theirs = binomtest(right, rows).proportion_ci(confidence_level=0.95, method="wilson")
        ours = proportion_interval(right / rows, rows)
        assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))


def test_a_share_of_all_or_none_stays_within_0_and_1_and_is_not_certain() -> None:
    z2 = 1.9599639845**2
    none, every = proportion_interval(0, 20), proportion_interval(1, 20)
    assert none.low == 0.0
    assert none.high == pytest.approx(z2 / (20 + z2))
    assert (every.low, every.high) == pytest.approx((1 - z2 / (20 + z2), 1.0))


# --- clusters --------------------------------------------------------------------------------


def test_a_clusters_contribution_to_a_mean_is_what_leaving_it_out_shows() -> None:
    values, clusters = np.array([1.0, 0.0, 0.0, 1.0, 1.0, 1.0]), np.array([0, 1, 1, 2, 2, 2])
    # All rows: 4/6. Without cluster 0: 3/5; without 1: 4/4; without 2: 1/3. Three clusters.
    by_hand = [3 * 4 / 6 - 2 * 3 / 5, 3 * 4 / 6 - 2 * 4 / 4, 3 * 4 / 6 - 2 * 1 / 3]
    assert mean_contributions(values, clusters) == pytest.approx(by_hand)
    assert contributions(lambda rows: values[rows].mean(), clusters) == pytest.approx(by_hand)


def test_many_clusters_are_joined_and_keep_the_error() -> None:
    values = np.random.default_rng(1).random(5000)
    rows = np.arange(5000)
    joined = contributions(lambda kept: float(values[kept].mean()), rows)
    assert len(joined) == 1000
    exact = estimate(mean_contributions(values, rows)[None]).error
    assert estimate(joined[None]).error == pytest.approx(exact, rel=0.1)


def test_rows_that_repeat_each_other_count_once() -> None:
    right = np.random.default_rng(2).random(500) < 0.8
    alone = effective_rows(right, np.arange(500))
    four_times = effective_rows(np.repeat(right, 4), np.repeat(np.arange(500), 4))
    assert alone == pytest.approx(500, rel=0.01)
    assert four_times == pytest.approx(alone, rel=0.01)
    assert effective_rows(np.ones(12, dtype=bool), np.repeat(np.arange(3), 4)) == 3


# --- seeds and clusters ----------------------------------------------------------------------


def test_one_seed_has_students_interval_over_the_clusters() -> None:
    from scipy.stats import t

    values = [0.1, -0.2, 0.4, 0.3, 0.0]
    theirs = t.interval(0.95, 4, np.mean(values), np.std(values, ddof=1) / math.sqrt(5))
    found = interval_over_clusters(np.array(values))
    assert (found.low, found.high) == pytest.approx(theirs)
    assert interval_over_clusters(np.array([0.3])) == interval_over_clusters(np.array([0.7]))


def test_the_variances_of_seeds_and_clusters_add_up_by_hand() -> None:
    values = np.array([[1.0, 2.0, 6.0], [3.0, 4.0, 5.0], [2.0, 3.0, 10.0]])
    # Means of seeds 3, 4, 5 and of clusters 2, 3, 7, over all 4. MS_seed = 3/2·(1 + 0 + 1) = 3,
    # MS_cluster = 3/2·(4 + 1 + 9) = 21, and the rest squares to 12 with 4 degrees: 3.
    found = estimate(values)
    assert found.value == 4
    assert (found.of_seeds, found.of_clusters) == pytest.approx((0, 21 / 9))
    values[0] -= 3
    # Now the seeds' means are 0, 4, 5 around 3: MS_seed = 3/2·(9 + 1 + 4) = 21, all else equal.
    found = estimate(values)
    assert (found.of_seeds, found.of_clusters) == pytest.approx((18 / 9, 21 / 9))
    interval = found.interval()
    assert interval is not None
    # t(0.975, 2 degrees of freedom) = 4.302653, for three seeds and for three clusters.
    assert interval.high == pytest.approx(3 + 4.302653 * math.sqrt(18 / 9 + 21 / 9))


def test_equal_clusters_leave_students_interval_over_seeds() -> None:
    values = np.repeat([[90.0], [92.0], [94.0]], 5, axis=1)
    found = estimate(values)
    assert found.error == pytest.approx(2 / math.sqrt(3))
    interval = found.interval()
    assert interval is not None
    # t(0.975, 2 degrees of freedom) = 4.302653; standard deviation 2.
    assert interval.high == pytest.approx(92 + 4.302653 * 2 / math.sqrt(3))


def test_the_order_of_seeds_and_clusters_does_not_matter() -> None:
    values = np.random.default_rng(3).random((4, 30))
    shuffled = values[[2, 0, 3, 1]][:, np.random.default_rng(4).permutation(30)]
    assert estimate(shuffled).of_seeds == pytest.approx(estimate(values).of_seeds)
    assert estimate(shuffled).of_clusters == pytest.approx(estimate(values).of_clusters)


def test_two_seeds_have_no_interval_and_no_p_value() -> None:
    found = estimate(np.random.default_rng(5).random((2, 30)))
    assert found.interval() is None
    assert found.p_value() is None
    assert not found.is_within(10.0)


def test_pairing_narrows_the_interval_of_like_models() -> None:
    generator = np.random.default_rng(0)
    ours = generator.random(2000) < 0.9
    theirs = np.where(generator.random(2000) < 0.02, ~ours, ours)
    found = interval_over_clusters(mean_contributions(ours.astype(float) - theirs, np.arange(2000)))
    unpaired = 2 * 1.96 * math.sqrt(2 * 0.9 * 0.1 / 2000)
    assert found.high - found.low < 0.5 * unpaired


def test_a_p_value_is_that_of_scipys_t_test() -> None:
    from scipy.stats import ttest_1samp

    values = np.random.default_rng(6).normal(0.1, 1, 40)
    assert estimate(values[None]).p_value() == pytest.approx(ttest_1samp(values, 0).pvalue)


def test_a_p_value_over_seeds_is_where_the_interval_touches_0() -> None:
    found = estimate(np.random.default_rng(8).normal(0.1, 0.3, (4, 50)))
    p = found.p_value()
    assert p is not None
    assert 0 < p < 1
    assert found.reach(1 - p) == pytest.approx(abs(found.value))


def test_nothing_differs_where_two_models_always_agree() -> None:
    found = estimate(np.zeros((3, 10)))
    assert found.p_value() == 1.0
    assert found.is_within(0.001)


# --- several tests together, and equality ------------------------------------------------------


def test_holms_adjustment_by_hand() -> None:
    # Sorted: 0.01·3, 0.03·2, 0.04·1, and none below the one before it.
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_two_models_are_equal_only_within_a_margin_that_the_interval_fits_into() -> None:
    values = np.random.default_rng(7).normal(0.0, 0.02, (5, 200))
    found = estimate(values)
    inside = found.interval(0.90)
    assert inside is not None
    widest = max(abs(inside.low), abs(inside.high))
    assert found.is_within(widest * 1.01)
    assert not found.is_within(widest * 0.99)
