"""From raw turns to what is printed. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from distill_runner.bench.options import OURS


def summary(name: str, rounds: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Medians over the rounds of one contender.

    Returns:
        rows and sentence tokens a second, seconds per step, the peak of a step's memory, and
        by which factor ours is faster per row: median, least and most over the rounds.
        The processor's own seconds, for a machine that has other work, are beside them.
    """
    turns = [entry["turns"][name] for entry in rounds]

    def ratios_of(clock: str) -> list[float]:
        pairs = [(entry["turns"][name], entry["turns"][OURS]) for entry in rounds]
        return [
            (theirs[clock] / theirs["rows"]) / (mine[clock] / mine["rows"])
            for theirs, mine in pairs
        ]

    ratios = ratios_of("seconds")
    return {
        "rows_per_second": median(turn["rows"] / turn["seconds"] for turn in turns),
        "tokens_per_second": median(turn["tokens"] / turn["seconds"] for turn in turns),
        "seconds_per_step": median(turn["seconds"] / turn["steps"] for turn in turns),
        "cpu_seconds_per_step": median(turn["cpu_seconds"] / turn["steps"] for turn in turns),
        "peak_bytes": max(turn["peak_bytes"] for turn in turns),
        "ratio": median(ratios),
        "ratio_low": min(ratios),
        "ratio_high": max(ratios),
        "cpu_ratio": median(ratios_of("cpu_seconds")),
    }


def projected_seconds(facts: Mapping[str, float], seconds_per_step: float, epochs: int) -> float:
    """A whole training of so many epochs, from parts that were measured."""
    once = facts["tokenise_seconds"] + facts["teacher_seconds"]
    epoch = facts["order_seconds"] + facts["steps_per_epoch"] * seconds_per_step
    return once + epochs * epoch


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which that share of the values lies, without interpolation."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
