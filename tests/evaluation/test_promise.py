"""A limit on a mean over rows is proved only where the data prove it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t as students_t

from distill_runner.evaluation.metrics.promise import fewest_rows, p_value


def test_the_p_value_is_students_over_the_clusters_and_one_bad_cluster() -> None:
    values = np.array([1, 0, 0, -1, 0, 0, 0], dtype=float)
    clusters = np.array([0, 0, 1, 1, 1, 2, 3])
    limit = 0.2
    sums = [1 + 0 - 2 * limit, 0 - 1 + 0 - 3 * limit, -limit, -limit]
    seen = [*sums, (1 - limit) * (4 + 9 + 1 + 1) / 7]
    mean = sum(seen) / 5
    spread = math.sqrt(sum((one - mean) ** 2 for one in seen) / 4)
    expected = students_t.cdf(mean / (spread / math.sqrt(5)), 4)
    assert p_value(values, clusters, limit) == pytest.approx(expected)


def test_rows_that_belong_together_count_once() -> None:
    values = np.zeros(2000)
    apart = p_value(values, np.arange(2000), 0.005)
    together = p_value(values, np.arange(2000) // 20, 0.005)
    assert apart < 0.05 < together


def test_a_sample_without_any_loss_proves_no_limit_that_is_too_small_for_it() -> None:
    rows = fewest_rows(0.005, 0.05)
    assert 400 < rows < 700
    assert p_value(np.zeros(rows), np.arange(rows), 0.005) <= 0.05
    assert p_value(np.zeros(rows - 1), np.arange(rows - 1), 0.005) > 0.05


@pytest.mark.parametrize(("harm", "gain"), [(0.01, 0.0), (0.03, 0.02), (0.11, 0.10)])
def test_a_mean_at_the_limit_passes_in_at_most_one_draw_of_twenty(harm: float, gain: float) -> None:
    generator = np.random.default_rng(1)
    passed = 0
    for _ in range(400):
        sizes = generator.geometric(0.3, 400)
        clusters = np.repeat(np.arange(400), sizes)
        luck = generator.random(400)[clusters]  # a cluster shares its fate
        values = np.where(luck < harm, 1.0, np.where(luck > 1 - gain, -1.0, 0.0))
        passed += p_value(values, clusters, 0.01) <= 0.05
    assert passed / 400 <= 0.075
