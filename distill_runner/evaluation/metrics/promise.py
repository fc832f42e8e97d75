"""Tests whether a mean over rows stays below a limit, with rows that belong together counted once.

With d_i the value of row i, limit r, and Y_c = Σ_{i in c} (d_i − r) for each cluster c, the mean of
d is at most r exactly if the mean of Y is at most 0. The p-value is that of Student's t over the
clusters, after one more cluster is added on which every row has the worst value 1; it is as large
as the cluster of an average row, Σ_c n_c² / Σ_c n_c. Without it a sample in which nothing went
wrong would prove any limit; with it, n such rows prove no limit below about 2.7/n.
"""

from __future__ import annotations

import math

import numpy as np


def p_value(values: np.ndarray, clusters: np.ndarray, limit: float) -> float:
    """Return the p-value of "the mean is above the limit".

    Args:
        values: [rows], −1..1.
        clusters: [rows], the number of each row's cluster.
        limit: between 0 and 1, exclusive.
    """
    from scipy.special import stdtr

    numbers = np.unique(clusters, return_inverse=True)[1]
    sizes, sums = np.bincount(numbers), np.bincount(numbers, weights=values - limit)
    worst = (1 - limit) * (sizes**2).sum() / sizes.sum()
    seen = np.append(sums, worst)
    error = float(seen.std(ddof=1)) / math.sqrt(len(seen))
    return float(stdtr(len(seen) - 1, float(seen.mean()) / error))


def fewest_rows(limit: float, level: float) -> int:
    """Return how many independent rows, all of the value 0, prove the limit at the level.

    Args:
        limit: between 0 and 1, exclusive.
        level: of the test, such as 0.05.
    """
    low, high = 1, 2
    while not _proves(high, limit, level):
        low, high = high, 2 * high
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _proves(middle, limit, level) else (middle + 1, high)
    return high


def _proves(rows: int, limit: float, level: float) -> bool:
    return p_value(np.zeros(rows), np.arange(rows), limit) <= level
