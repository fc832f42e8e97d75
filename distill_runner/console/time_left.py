"""Estimates the remaining time of a run from the time taken so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class TimeLeft:
    """Estimated seconds until the end."""

    stage: float
    run: float  # for this stage and all later ones


class TimeEstimator:
    """Extrapolates the measured time to the remaining stages.

    Args:
        costs: of each stage to train, in any common unit.
        at_once: number of stages trained in parallel.
        clock: returns the time in seconds.
    """

    def __init__(
        self,
        costs: Mapping[str, float],
        *,
        at_once: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._costs = dict(costs)
        self._at_once = at_once
        self._clock = clock
        self._seconds = self._paid = 0.0  # of the stages observed to their end
        self._began = 0.0

    def begin(self, stage: str) -> None:
        """Start the clock before the stage's first step, or the first after its checkpoint."""
        self._costs.setdefault(stage, 0.0)
        self._began = self._clock()

    def left(self, stage: str, *, step: int, start: int, total: int) -> TimeLeft | None:
        """Estimate after `step` of `total` steps, the first `start` of them in an earlier run.

        Returns:
            None before the first step.
        """
        if step <= start:
            return None
        seconds = self._clock() - self._began
        here = seconds / (step - start) * (total - step)
        paid = self._paid + self._costs[stage] * (step - start) / total
        others = sum(cost for name, cost in self._costs.items() if name != stage)
        later = (self._seconds + seconds) / paid * others if paid else 0.0
        return TimeLeft(here, here + later / self._at_once)

    def end(self, stage: str, *, made: float = 0.0) -> None:
        """Record that the stage is done; `made` is the share of its steps since `begin`, or 0."""
        cost = self._costs.pop(stage, 0.0)
        if made:
            self._seconds += self._clock() - self._began
            self._paid += cost * made


def duration(seconds: float) -> str:
    """Format a duration, such as "43 s", "12 min 30 s" or "2 h 5 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        minutes, rest = divmod(whole, 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(whole / 60), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def format_estimate(seconds: float) -> str:
    """Format an estimate, rounded to five seconds, a minute or ten minutes."""
    unit = 5 if seconds < 90 else 60 if seconds < 7200 else 600
    return duration(max(unit, unit * round(seconds / unit)))
