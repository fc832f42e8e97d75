"""Contributions of clusters of rows to a figure, so that intervals count clusters."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

# More clusters are joined at random into this many: the jackknife computes a figure for each.
_MOST_BLOCKS = 1000


def contributions(statistic: Callable[[np.ndarray], float], clusters: np.ndarray) -> np.ndarray:
    """Return each cluster's contribution to a figure: the jackknife's pseudo-values.

        v_c = C·f(all rows) − (C − 1)·f(all rows but those of cluster c)

    Their mean is the figure, up to a bias of order 1/C, and their spread gives its error.

    Args:
        statistic: computes the figure from the positions of the rows to use.
        clusters: [rows], the number of each row's cluster.

    Returns:
        [clusters], at most 1,000.
    """
    blocks = join_clusters(clusters)
    rows, count = np.arange(len(blocks)), int(blocks.max()) + 1
    whole = statistic(rows)
    order = np.argsort(blocks, kind="stable")
    ends = np.searchsorted(blocks[order], np.arange(count + 1))
    left_out = np.empty(count)
    for block in range(count):
        kept = np.delete(order, np.s_[ends[block] : ends[block + 1]])
        left_out[block] = statistic(np.sort(kept))
    found: np.ndarray = count * whole - (count - 1) * left_out
    return found


def mean_contributions(values: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Return the contributions to the mean of a value per row, computed in closed form.

    Args:
        values: [..., rows].
        clusters: [rows].

    Returns:
        [..., clusters].
    """
    numbers = np.unique(clusters, return_inverse=True)[1]
    count = int(numbers.max()) + 1
    sizes = np.bincount(numbers, minlength=count).astype(float)
    flat = values.reshape(-1, values.shape[-1]).astype(float)
    sums = np.stack([np.bincount(numbers, weights=each, minlength=count) for each in flat])
    total, rows = sums.sum(axis=1, keepdims=True), sizes.sum()
    if count == 1:
        return np.asarray(total / rows).reshape(*values.shape[:-1], 1)
    found = count * total / rows - (count - 1) * (total - sums) / (rows - sizes)
    return np.asarray(found.reshape(*values.shape[:-1], count))


def effective_rows(right: np.ndarray, clusters: np.ndarray) -> float:
    """Return how many independent rows would give a share as exact an estimate.

    The rows divided by the design effect: the variance of the share over clusters, divided by that
    of as many independent rows. At most the number of rows; the number of clusters where all
    rows agree and so say nothing about the effect.

    Args:
        right: [rows], true or false.
        clusters: [rows].
    """
    share = float(right.mean())
    each = mean_contributions(right, clusters)
    if len(each) < 2 or share in (0.0, 1.0):
        return float(len(each))
    variance = float(each.var(ddof=1)) / len(each)
    if variance == 0:
        return float(len(right))
    of_rows = share * (1 - share) / (len(right) - 1)
    return min(1.0, of_rows / variance) * len(right)


def join_clusters(clusters: np.ndarray) -> np.ndarray:
    """Return each row's block, numbered from 0: its cluster, or several joined at random.

    Args:
        clusters: [rows], the number of each row's cluster.

    Returns:
        [rows], at most 1,000 different numbers.
    """
    numbers = np.unique(clusters, return_inverse=True)[1]
    count = int(numbers.max()) + 1
    if count <= _MOST_BLOCKS:
        return np.asarray(numbers)
    places = np.random.default_rng(0).permutation(count) % _MOST_BLOCKS
    return np.asarray(places[numbers])
