"""The mean of a figure over seeds and clusters of rows, with its 95% interval.

A cluster holds rows that belong together: phrases of one sentence, candidates for one question.
Several seeds are scored on the same clusters, so a figure varies in two crossed ways. With v_sc the
contribution of cluster c under seed s, and their mean m:

    v_sc = m + seed_s + cluster_c + rest_sc
    MS_seed = C/(S−1) Σ_s (v_s. − m)²        MS_cluster = S/(C−1) Σ_c (v_.c − m)²
    MS_rest = 1/((S−1)(C−1)) Σ_sc (v_sc − v_s. − v_.c + m)²
    var(m) = V_seed + V_cluster,  V_seed = (MS_seed − MS_rest)/(S·C),  V_cluster = MS_cluster/(S·C)

Each part has its own degrees of freedom, so each is scaled by its own quantile of Student's t
(Howe 1974): the interval is m ± √(t²_{S−1} V_seed + t²_{C−1} V_cluster). One seed has only the
second part: its interval covers the rows and says nothing about seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from distill_runner.evaluation.metrics.intervals import Interval

# With two seeds no estimator tried holds its level: `scripts/bench coverage` shows it.
FEWEST_SEEDS = 3
_HALVINGS = 50  # of the range of p-values


@dataclass(frozen=True)
class Estimate:
    """A mean with its uncertainty.

    Attributes:
        value: the mean, in the unit of the figure.
        of_seeds: the part of its variance that more seeds would reduce.
        of_clusters: the part that more clusters would reduce.
        seeds, clusters: how many the mean was taken over.
    """

    value: float
    of_seeds: float
    of_clusters: float
    seeds: int
    clusters: int

    @property
    def error(self) -> float:
        """The standard error of the mean."""
        return math.sqrt(self.of_seeds + self.of_clusters)

    @property
    def is_reliable(self) -> bool:
        """Whether an interval over these seeds and clusters holds its level."""
        return self.clusters > 1 and (self.seeds == 1 or self.seeds >= FEWEST_SEEDS)

    def reach(self, level: float) -> float:
        """Return half the width of the two-sided interval, whether reliable or not."""
        share = (1 + level) / 2
        squares = self.of_clusters * _quantile(self.clusters - 1, share) ** 2
        if self.seeds > 1:
            squares += self.of_seeds * _quantile(self.seeds - 1, share) ** 2
        return math.sqrt(squares)

    def interval(self, level: float = 0.95) -> Interval | None:
        """Return the two-sided interval; None where none holds its level."""
        if not self.is_reliable:
            return None
        reach = self.reach(level)
        return Interval(self.value - reach, self.value + reach)

    def p_value(self) -> float | None:
        """Return 1 minus the level at which the interval touches 0; None without an interval."""
        if not self.is_reliable:
            return None
        low, high = 0.0, 1.0
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            outside = self.reach(1 - middle) < abs(self.value)
            low, high = (low, middle) if outside else (middle, high)
        return high

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
    of_clusters = float(values.mean(axis=0).var(ddof=1)) / clusters
    if seeds == 1:
        return Estimate(mean, 0.0, of_clusters, seeds, clusters)
    by_seed = clusters * float(values.mean(axis=1).var(ddof=1))
    rest = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + mean
    by_rest = float((rest**2).sum()) / ((seeds - 1) * (clusters - 1))
    of_seeds = max(0.0, by_seed - by_rest) / (seeds * clusters)
    return Estimate(mean, of_seeds, of_clusters, seeds, clusters)


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
