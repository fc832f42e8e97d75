"""Temperature scaling (Guo et al. 2017): logits divided by a number that validation rows choose.

    T = argmin_T −1/n Σ_i log p(y_i | z_i / T),   T > 0

With a softmax there is one T for all classes, with sigmoids one for each label. Dividing changes
neither the largest logit nor the sign of one, so every prediction stays what it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from distill_runner.evaluation.metrics.calibration import nll_of_classes, nll_of_sets

# Estimating one parameter from n independent rows costs new rows about 1/(2n) nats. Simulated with
# mildly over-confident logits (T = 1.5), a T from 50 rows makes new rows worse in 15 to 33% of all
# draws, and one from 100 rows in 4 to 19%. The wrong answers are what keeps T away from 0: with a
# single one among 100 to 400 rows it is 48 to 86%.
FEWEST_ROWS, FEWEST_WRONG = 100, 3
LOWEST, HIGHEST = 0.01, 100.0  # a model that knows nothing would get an infinite T
_TOLERANCE = 1e-6  # of log T


@dataclass(frozen=True)
class Temperature:
    """A fitted temperature.

    Attributes:
        value: T > 0; 1 if it was not fitted.
        not_fitted: why it was not; None if it was.
    """

    value: float
    not_fitted: str | None = None


def fit_for_classes(logits: np.ndarray, labels: np.ndarray, clusters: np.ndarray) -> Temperature:
    """Fit the temperature of a softmax.

    Args:
        logits: [rows, classes].
        labels: [rows], classes.
        clusters: [rows], the number of each row's cluster.
    """
    wrong = int((logits.argmax(axis=-1) != labels).sum())
    return _fit(lambda t: float(nll_of_classes(logits / t, labels).mean()), wrong, clusters)


def fit_for_label(logits: np.ndarray, labels: np.ndarray, clusters: np.ndarray) -> Temperature:
    """Fit the temperature of one label's sigmoid.

    Args:
        logits: [rows], of the label.
        labels: [rows], 0 or 1.
        clusters: [rows], the number of each row's cluster.
    """
    one, truth = logits[:, None], labels[:, None]
    wrong = int(((logits > 0) != (labels == 1)).sum())
    return _fit(lambda t: float(nll_of_sets(one / t, truth).mean()), wrong, clusters)


def _fit(loss: Callable[[float], float], wrong: int, clusters: np.ndarray) -> Temperature:
    rows = len(np.unique(clusters))
    if rows < FEWEST_ROWS:
        return _not_fitted(
            f"{rows} independent validation rows, and it takes {FEWEST_ROWS}"
            if rows
            else "there are no validation rows"
        )
    if wrong < FEWEST_WRONG:
        return _not_fitted(f"{wrong} wrong on validation, and it takes {FEWEST_WRONG}")
    found = _minimise(loss)
    if not 1.01 * LOWEST < found < HIGHEST / 1.01:
        return _not_fitted(f"none from {LOWEST:g} to {HIGHEST:g} is best on validation")
    return Temperature(found)


def _minimise(loss: Callable[[float], float]) -> float:
    """Return the T with the least loss. It is convex in 1/T, so it has one minimum in log T."""
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda log_t: loss(math.exp(log_t)),
        bounds=(math.log(LOWEST), math.log(HIGHEST)),
        method="bounded",
        options={"xatol": _TOLERANCE},
    )
    return math.exp(float(found.x))


def _not_fitted(why: str) -> Temperature:
    return Temperature(1.0, why)
