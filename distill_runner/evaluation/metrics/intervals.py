"""95% intervals of shares, of differences, and of means over seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

_Z = NormalDist().inv_cdf(0.975)  # standard errors in half of a 95% interval
_RESAMPLES = 2000
_RESAMPLES_AT_ONCE = 100  # limits the memory


@dataclass(frozen=True)
class Interval:
    """A 95% interval, both ends in the unit of the figure."""

    low: float
    high: float


def proportion_interval(right: int, rows: int) -> Interval:
    """Return Wilson's interval of the share, 0..1, of `right` among `rows` independent rows."""
    # Not scipy.stats: its import takes longer than all else that a finished run computes.
    share, square = right / rows, _Z**2 / rows
    centre = (share + square / 2) / (1 + square)
    reach = _Z / (1 + square) * math.sqrt((share * (1 - share) + square / 4) / rows)
    return Interval(max(0.0, centre - reach), min(1.0, centre + reach))


def paired_rows_interval(ours: np.ndarray, theirs: np.ndarray) -> Interval:
    """Return the paired 95% interval of the difference in accuracy of two models, one run each.

    It covers the choice of rows, not the seed: another seed moves the difference too.

    Args:
        ours, theirs: [rows], whether each prediction is right.
    """
    if len(ours) < 2:
        return Interval(-1.0, 1.0)  # one row says nothing
    difference = ours.astype(float) - theirs.astype(float)
    centre, error = difference.mean(), difference.std(ddof=1) / np.sqrt(len(difference))
    return Interval(float(centre - 1.96 * error), float(centre + 1.96 * error))


def bootstrap_interval(statistic: Callable[..., np.ndarray], *columns: np.ndarray) -> Interval:
    """Return the 95% percentile interval of a statistic under a paired bootstrap over rows.

    Like `paired_rows_interval`, it covers the choice of rows and not the seed.

    Args:
        statistic: takes the columns and reduces their last axis.
        columns: [rows] each, at least two rows.
    """
    from scipy.stats import bootstrap

    found = bootstrap(
        columns,
        lambda *drawn, axis: statistic(*drawn),  # noqa: ARG005
        paired=True,
        vectorized=True,
        n_resamples=_RESAMPLES,
        batch=_RESAMPLES_AT_ONCE,
        confidence_level=0.95,
        method="percentile",
        rng=np.random.default_rng(0),  # so that the same rows give the same interval
    ).confidence_interval
    return Interval(float(found.low), float(found.high))


def mean_interval(values: Sequence[float]) -> Interval | None:
    """Return Student's 95% interval of a mean over seeds; None for fewer than two values."""
    from scipy.special import stdtrit

    if len(values) < 2:
        return None
    centre, error = np.mean(values), np.std(values, ddof=1) / np.sqrt(len(values))
    reach = float(stdtrit(len(values) - 1, 0.975)) * float(error)
    return Interval(float(centre) - reach, float(centre) + reach)
