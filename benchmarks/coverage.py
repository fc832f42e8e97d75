"""Counts how often a 95% interval of a gain over seeds and clusters holds the true gain.

The generated rows resemble two students of one data set: few rows on which one of the two is right
alone, most of them the same rows under every seed, and clusters of rows on which the same student
tends to be right. The gain itself differs from seed to seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from benchmarks.options import Options
from benchmarks.record import Report
from distill_runner.evaluation.metrics.clusters import mean_contributions
from distill_runner.evaluation.metrics.estimate import estimate

SEEDS = (2, 3, 4, 5, 8)
CLUSTERS = (30, 287, 1000)
DEVIATIONS = (0.0, 0.3, 0.6, 1.2)  # of the gain from seed to seed, in points of accuracy
GAIN = 0.005
_FLIPS = 0.03  # share of the rows on which one of the two is right alone
_LARGEST = 32  # rows of a cluster
_RESAMPLES = 200
_BOOTSTRAPPED = 400  # rounds; it takes long

Values = np.ndarray  # [seeds, clusters], the clusters' contributions
Covers = Callable[[Values], bool]


@dataclass(frozen=True)
class Case:
    """One kind of generated data."""

    seeds: int
    clusters: int
    deviation: float  # of the seeds' gains, 0..1


def run(options: Options, say: Callable[[str], None]) -> Report:
    """Generate data `--rounds` times for each case, and count."""
    rows, raw = [], []
    for deviation in DEVIATIONS:
        for clusters in CLUSTERS:
            for seeds in SEEDS:
                case = Case(seeds, clusters, deviation / 100)
                shares = _shares(case, options)
                raw.append({"seeds": seeds, "clusters": clusters, "deviation": deviation, **shares})
                cells = [f"{100 * share:.1f}" for share in shares.values()]
                rows.append([f"{deviation:g}", str(clusters), str(seeds), *cells])
                say(" ".join(rows[-1]))
    return Report(
        title="Share of 95% intervals that hold the true gain, in %",
        columns=("sd of seeds, points", "clusters", "seeds", *_ESTIMATORS),
        rows=rows,
        notes=(f"{options.rounds} draws each, {_BOOTSTRAPPED} for the bootstrap.",),
        found={"raw": raw},
    )


def _shares(case: Case, options: Options) -> dict[str, float]:
    generator = np.random.default_rng([options.seed, case.seeds, case.clusters])
    held: dict[str, list[bool]] = {name: [] for name in _ESTIMATORS}
    for number in range(options.rounds):
        values = draw(case, generator)
        for name, covers in _ESTIMATORS.items():
            if name != "bootstrap" or number < _BOOTSTRAPPED:
                held[name].append(covers(values))
    return {name: float(np.mean(found)) for name, found in held.items()}


def draw(case: Case, generator: np.random.Generator) -> Values:
    """Draw the contributions of clusters to the gain of a student, under every seed."""
    sizes = np.minimum(generator.geometric(0.16, case.clusters), _LARGEST)
    clusters = np.repeat(np.arange(case.clusters), sizes)
    gains = GAIN + generator.normal(0, case.deviation, case.seeds)
    # One row in ten is close to the boundary, and flips under nearly a third of the seeds.
    prone = np.where(generator.random(len(clusters)) < 0.1, 10 * _FLIPS, 0.0)
    flips = generator.random((case.seeds, len(clusters))) < prone
    # Who is right about a cluster is the same under every seed, up to the seed's gain.
    luck = generator.random(case.clusters)[clusters]
    ours = luck < (0.5 + gains[:, None] / (2 * _FLIPS))
    return mean_contributions(flips * np.where(ours, 1.0, -1.0), clusters)


def _two_way(values: Values) -> bool:
    found = estimate(values)
    return abs(found.value - GAIN) <= found.reach(0.95)


def _satterthwaite(values: Values) -> bool:
    """Give the whole variance one t, at Satterthwaite's degrees of freedom."""
    seeds, clusters = values.shape
    found = estimate(values)
    by_seed = clusters * values.mean(axis=1).var(ddof=1)
    by_cluster = seeds * values.mean(axis=0).var(ddof=1)
    rest = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + found.value
    by_rest = (rest**2).sum() / ((seeds - 1) * (clusters - 1))
    total = max(by_seed + by_cluster - by_rest, by_seed, by_cluster)
    spread = by_seed**2 / (seeds - 1) + by_cluster**2 / (clusters - 1)
    spread += by_rest**2 / ((seeds - 1) * (clusters - 1))
    degrees = max(total**2 / spread, seeds - 1)
    reach = float(stdtrit(degrees, 0.975)) * np.sqrt(total / (seeds * clusters))
    return bool(abs(found.value - GAIN) <= reach)


def _over_seeds(values: Values) -> bool:
    means = values.mean(axis=1)
    reach = float(stdtrit(len(means) - 1, 0.975)) * means.std(ddof=1) / np.sqrt(len(means))
    return bool(abs(means.mean() - GAIN) <= reach)


def _bootstrap(values: Values) -> bool:
    generator = np.random.default_rng(0)
    seeds, clusters = values.shape
    means = [
        values[np.ix_(generator.integers(0, seeds, seeds), drawn)].mean()
        for drawn in generator.integers(0, clusters, (_RESAMPLES, clusters))
    ]
    low, high = np.percentile(means, [2.5, 97.5])
    return bool(low <= GAIN <= high)


_ESTIMATORS: dict[str, Covers] = {
    "two-way t": _two_way,
    "Satterthwaite": _satterthwaite,
    "bootstrap": _bootstrap,
    "Student over seeds": _over_seeds,
}
