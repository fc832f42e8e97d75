"""The mean of a figure over seeds and clusters of rows, with its 95% interval.

A cluster holds rows that belong together: phrases of one sentence, candidates for one question.
Several seeds are scored on the same clusters, so a figure varies in two crossed ways. With v_sc the
contribution of cluster c under seed s, and their mean m:

    v_sc = m + seed_s + cluster_c + rest_sc
    MS_seed = C/(S−1) Σ_s (v_s. − m)²        MS_cluster = S/(C−1) Σ_c (v_.c − m)²
    MS_rest = 1/((S−1)(C−1)) Σ_sc (v_sc − v_s. − v_.c + m)²
    var(m) = (MS_seed + MS_cluster − MS_rest) / (S·C)

with Student's t at Satterthwaite's degrees of freedom. One seed alone gives var(m) =
MS_cluster / C with C − 1 degrees: that interval covers the rows and says nothing about seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from distill_runner.evaluation.metrics.intervals import Interval

# Below this many seeds no estimator tried holds its level (benchmarks/coverage.py).
FEWEST_SEEDS = 3


@dataclass(frozen=True)
class Estimate:
    """A mean with its uncertainty.

    Attributes:
        value: the mean, in the unit of the figure.
        error: its standard error; NaN if one cluster or one seed of several says nothing.
        degrees: degrees of freedom of Student's t.
        seeds, clusters: how many the mean was taken over.
    """

    value: float
    error: float
    degrees: float
    seeds: int
    clusters: int

    def interval(self, level: float = 0.95) -> Interval | None:
        """Return the two-sided interval; None where none holds its level."""
        if not self.is_reliable:
            return None
        reach = _quantile(self.degrees, (1 + level) / 2) * self.error
        return Interval(self.value - reach, self.value + reach)

    @property
    def is_reliable(self) -> bool:
        """Whether an interval over these seeds and clusters holds its level."""
        enough = self.seeds == 1 or self.seeds >= FEWEST_SEEDS
        return enough and self.clusters > 1 and math.isfinite(self.error)

    def p_value(self) -> float | None:
        """Return the two-sided p-value of a mean of 0; None where no interval is given."""
        if not self.is_reliable:
            return None
        if self.error == 0:
            return 0.0 if self.value else 1.0
        return 2 * _share_below(self.degrees, -abs(self.value / self.error))

    def is_within(self, margin: float) -> bool:
        """Return whether two one-sided tests at 5% show the mean to lie within ± the margin."""
        inside = self.interval(0.90)
        return inside is not None and -margin < inside.low and inside.high < margin


def interval_over_clusters(values: np.ndarray, low: float = -1.0, high: float = 1.0) -> Interval:
    """Return the interval of a figure of one seed, within the figure's bounds.

    Args:
        values: [clusters], the contributions; one cluster says nothing, and gives both bounds.
    """
    found = estimate(values[None]).interval()
    if found is None:
        return Interval(low, high)
    return Interval(max(low, found.low), min(high, found.high))


def estimate(values: np.ndarray) -> Estimate:
    """Estimate the mean over seeds and clusters.

    Args:
        values: [seeds, clusters], the contributions (see `clusters.contributions`); their plain
            mean is the figure.
    """
    seeds, clusters = values.shape
    mean = float(values.mean())
    if clusters < 2:
        return Estimate(mean, math.nan, math.nan, seeds, clusters)
    by_cluster = seeds * float(values.mean(axis=0).var(ddof=1))
    if seeds == 1:
        return Estimate(mean, math.sqrt(by_cluster / clusters), clusters - 1, seeds, clusters)
    by_seed = clusters * float(values.mean(axis=1).var(ddof=1))
    centred = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + mean
    rest = float((centred**2).sum()) / ((seeds - 1) * (clusters - 1))
    # A negative component of variance is none: the total is at least what each way gives alone.
    total = max(by_seed + by_cluster - rest, by_seed, by_cluster)
    error = math.sqrt(total / (seeds * clusters))
    degrees = _degrees(by_seed, by_cluster, rest, seeds, clusters)
    return Estimate(mean, error, degrees, seeds, clusters)


def _degrees(by_seed: float, by_cluster: float, rest: float, seeds: int, clusters: int) -> float:
    """Return Satterthwaite's degrees of freedom of MS_seed + MS_cluster − MS_rest."""
    total = max(by_seed + by_cluster - rest, by_seed, by_cluster)
    if total == 0:
        return float(seeds - 1)
    spread = by_seed**2 / (seeds - 1) + by_cluster**2 / (clusters - 1)
    spread += rest**2 / ((seeds - 1) * (clusters - 1))
    return max(total**2 / spread, float(seeds - 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values adjusted for being tested together (Holm 1979)."""
    order = sorted(range(len(p_values)), key=lambda at: p_values[at])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, at in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[at]))
        adjusted[at] = largest
    return adjusted


def _quantile(degrees: float, share: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(degrees, share))


def _share_below(degrees: float, value: float) -> float:
    from scipy.special import stdtr

    return float(stdtr(degrees, value))
