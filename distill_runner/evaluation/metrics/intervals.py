"""The 95% interval, and Wilson's for a share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

_Z = NormalDist().inv_cdf(0.975)  # standard errors in half of a 95% interval


@dataclass(frozen=True)
class Interval:
    """A 95% interval, both ends in the unit of the figure."""

    low: float
    high: float


def proportion_interval(share: float, rows: float) -> Interval:
    """Return Wilson's interval of a share, 0..1.

    Args:
        share: of the rows that are right.
        rows: how many independent rows it is worth (see `clusters.effective_rows`).
    """
    # Not scipy.stats: its import takes longer than all else that a finished run computes.
    square = _Z**2 / rows
    centre = (share + square / 2) / (1 + square)
    reach = _Z / (1 + square) * math.sqrt((share * (1 - share) + square / 4) / rows)
    return Interval(max(0.0, centre - reach), min(1.0, centre + reach))
