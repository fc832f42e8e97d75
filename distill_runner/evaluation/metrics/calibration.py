"""Scores probabilities: calibration error, Brier score and log-likelihood."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from distill_runner.evaluation.metrics.clusters import join_clusters, mean_contributions
from distill_runner.evaluation.metrics.estimate import estimate
from distill_runner.evaluation.metrics.intervals import Interval

BINS = 15
_REPLICATES = 1000
_HALVINGS = 30  # of the range in which an end of the interval lies


@dataclass(frozen=True)
class Forecast:
    """What a model claims about each row, and what happened.

    Attributes:
        shares: [rows, events], 0..1, the probability that is claimed of each event: that the
            predicted class is right, or that a label holds.
        happened: [rows, events], true or false.
        brier: [rows], the squared distance of the probabilities from what happened.
        nll: [rows], −log of the probability of what happened, in nats.
    """

    shares: np.ndarray
    happened: np.ndarray
    brier: np.ndarray
    nll: np.ndarray

    @cached_property
    def bins(self) -> np.ndarray:
        """The bin of each row by its claim of each event. [rows, events]."""
        return np.stack([bin_rows(shares) for shares in self.shares.T], axis=1)


def forecast_classes(logits: np.ndarray, labels: np.ndarray) -> Forecast:
    """Read logits through a softmax; the one event is that the predicted class is right.

        Brier_i = Σ_k (p_ik − [y_i = k])², 0..2        NLL_i = −log p_i,y_i

    Args:
        logits: [rows, classes].
        labels: [rows], classes.
    """
    probabilities = np.exp(_log_softmax(logits))
    true = np.take_along_axis(probabilities, labels[:, None], axis=-1)[:, 0]
    return Forecast(
        shares=probabilities.max(axis=-1, keepdims=True),
        happened=(logits.argmax(axis=-1) == labels)[:, None],
        brier=(probabilities**2).sum(axis=-1) + 1 - 2 * true,
        nll=nll_of_classes(logits, labels),
    )


def forecast_sets(logits: np.ndarray, labels: np.ndarray) -> Forecast:
    """Read logits through sigmoids; the events are the labels.

        Brier_i = 1/L Σ_l (p_il − y_il)², 0..1
        NLL_i = −1/L Σ_l (y_il log p_il + (1 − y_il) log(1 − p_il))

    Args:
        logits: [rows, labels].
        labels: [rows, labels], 0 or 1.
    """
    shares = np.exp(-np.logaddexp(0, -logits.astype(float)))
    return Forecast(
        shares=shares,
        happened=labels == 1,
        brier=((shares - labels) ** 2).mean(axis=-1),
        nll=nll_of_sets(logits, labels),
    )


def nll_of_classes(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return −log of the true class's probability. [rows].

    Args:
        logits: [rows, classes].
        labels: [rows], classes.
    """
    return np.asarray(-np.take_along_axis(_log_softmax(logits), labels[:, None], axis=-1)[:, 0])


def nll_of_sets(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the mean over the labels of −log of what is true of each. [rows].

    Args:
        logits: [rows, labels].
        labels: [rows, labels], 0 or 1.
    """
    return np.asarray(np.logaddexp(0, (1 - 2 * labels) * logits.astype(float)).mean(axis=-1))


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    below = logits.astype(float) - logits.max(axis=-1, keepdims=True)
    return np.asarray(below - np.log(np.exp(below).sum(axis=-1, keepdims=True)))


# --- expected calibration error ---------------------------------------------------------------


def bin_rows(shares: np.ndarray) -> np.ndarray:
    """Return each row's bin, 0..14: as many rows in each as equal shares allow.

        bin_i = ⌊15 · (rows with a smaller share) / n⌋

    Rows with equal shares are in one bin. With fewer rows than bins, each has its own.

    Args:
        shares: [rows], 0..1.
    """
    order = np.argsort(shares)
    # Sorted values are found in order, which is many times faster than in that of the rows.
    ranked = shares[order]
    bins = np.empty(len(shares), dtype=int)
    bins[order] = np.searchsorted(ranked, ranked, side="left") * BINS // len(shares)
    return bins


def calibration_error(found: Forecast) -> float:
    """Return the expected calibration error in equal-mass bins, 0..1; of several events the mean.

    ECE = Σ_b n_b/n · |share that happened in b − mean share claimed in b|
    """
    return float(np.abs(_gaps(found, np.zeros(len(found.shares), dtype=int))).sum())


def error_if_exact(found: Forecast) -> float:
    """Return the ECE that exact probabilities of these sizes would show on as many rows.

    In bin b, Σ (happened − p) is then about normal with variance Σ p(1 − p), and the mean of its
    absolute value is √(2/π) times its standard deviation. This is the ECE's upward bias where the
    probabilities are exact. Rows count as independent.
    """
    variances = found.shares * (1 - found.shares)
    each_bin = _sum_bins(found, variances, np.zeros(len(variances), dtype=int))
    return float(np.sqrt(2 / math.pi * each_bin).sum()) / found.shares.size


def error_interval(found: Forecast, clusters: np.ndarray) -> Interval | None:
    """Return the 95% interval of the ECE of all rows that could have been drawn.

    On a sample the absolute values add up noise, so a percentile bootstrap of exact probabilities
    would never reach their true ECE of 0. The interval inverts a test: it holds each true error
    under which an ECE as small as this one, and one as large, has a chance of 2.5%. With e* the
    bins' noise by a bootstrap over clusters (1,000 replicates, fixed seed), a true error of λ has
    the ECE Σ|λg + e*|, where g, Σ|g| = 1, shares it out over the bins: as they show it for the
    lower end, and in proportion to the noise, where it is hidden best, for the upper end. The
    interval is widened to the ECE itself where that lies outside.

    Args:
        found: the forecast.
        clusters: [rows], the number of each row's cluster.

    Returns:
        None with a single cluster.
    """
    blocks = join_clusters(clusters)
    gaps = _gaps(found, blocks)
    if len(gaps) < 2:
        return None
    shown, error = gaps.sum(axis=0), calibration_error(found)
    if error == 0:
        return Interval(0.0, 0.0)
    noise = _replicates(len(gaps)) @ gaps - shown
    hidden = noise.std(axis=0)
    low = _smallest(shown, noise, error, 0.975)
    high = _smallest(hidden if hidden.any() else shown, noise, error, 0.025)
    return Interval(min(low, error), min(1.0, max(high, error)))


def mean_interval(
    values: np.ndarray, clusters: np.ndarray, *, lowest: float = 0.0
) -> Interval | None:
    """Return Student's 95% interval of a mean; None with a single cluster.

    Args:
        values: [rows].
        clusters: [rows], the number of each row's cluster.
        lowest: no value is below it.
    """
    interval = estimate(mean_contributions(values, clusters)[None]).interval()
    return None if interval is None else Interval(max(lowest, interval.low), interval.high)


def _gaps(found: Forecast, blocks: np.ndarray) -> np.ndarray:
    """Return what each block adds to n_b/n · (share that happened − share claimed) of each bin.

    Args:
        found: the forecast.
        blocks: [rows], numbers from 0.

    Returns:
        [blocks, events · bins], divided by the number of events.
    """
    return _sum_bins(found, found.happened - found.shares, blocks) / found.shares.size


def _sum_bins(found: Forecast, values: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """Sum values, [rows, events], over the rows of each block and bin. [blocks, events · bins]."""
    count = int(blocks.max()) + 1
    each = [
        np.bincount(blocks * BINS + bins, weights=of_event, minlength=count * BINS)
        for bins, of_event in zip(found.bins.T, values.T, strict=True)
    ]
    return np.concatenate([one.reshape(count, BINS) for one in each], axis=1)


@lru_cache(maxsize=1)
def _replicates(count: int) -> np.ndarray:
    """Return how often each replicate draws each block. [replicates, blocks]."""
    draws = np.random.default_rng(0).integers(count, size=(_REPLICATES, count))
    numbers = draws + count * np.arange(_REPLICATES)[:, None]
    drawn = np.bincount(numbers.ravel(), minlength=_REPLICATES * count)
    return np.asarray(drawn.reshape(_REPLICATES, count), dtype=float)


def _smallest(direction: np.ndarray, noise: np.ndarray, error: float, share: float) -> float:
    """Return the smallest true error λ at which that quantile of the ECE reaches `error`.

    Args:
        direction: [events · bins], how the true error is shared out; of any length.
        noise: [replicates, events · bins].
        error: the ECE that was found, above 0.
        share: of the quantile.
    """
    unit = direction / np.abs(direction).sum()

    def quantile(true: float) -> float:
        return float(np.quantile(np.abs(true * unit + noise).sum(axis=1), share))

    if quantile(0.0) >= error:
        return 0.0
    low, high = 0.0, error
    while quantile(high) < error:
        low, high = high, 2 * high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if quantile(middle) < error else (low, middle)
    return high
