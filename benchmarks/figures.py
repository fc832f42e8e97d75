"""Computes the printed figures from raw timings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.options import OURS


def summary(name: str, rounds: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Summarise the timings of one contender over all rounds.

    The rounds have different sentences and represent an epoch only together, so rates and ratios
    are computed from sums over rounds.

    Returns:
        Rows and sentence tokens per second, seconds per step, peak memory in bytes, and the
        factor by which ours is faster per row: over all rounds, in the worst and in the best.
        The keys with `cpu` use processor time, which other work on the machine affects less.
    """
    turns = [entry["turns"][name] for entry in rounds]
    ours = [entry["turns"][OURS] for entry in rounds]

    def total(key: str) -> float:
        return float(sum(turn[key] for turn in turns))

    ratios = [_ratio([theirs], [mine], "seconds") for theirs, mine in zip(turns, ours, strict=True)]
    return {
        "rows_per_second": total("rows") / total("seconds"),
        "tokens_per_second": total("tokens") / total("seconds"),
        "seconds_per_step": total("seconds") / total("steps"),
        "cpu_seconds_per_step": total("cpu_seconds") / total("steps"),
        "peak_bytes": max(turn["peak_bytes"] for turn in turns),
        "ratio": _ratio(turns, ours, "seconds"),
        "ratio_low": min(ratios),
        "ratio_high": max(ratios),
        "cpu_ratio": _ratio(turns, ours, "cpu_seconds"),
    }


def _ratio(
    theirs: Sequence[Mapping[str, Any]], ours: Sequence[Mapping[str, Any]], clock: str
) -> float:
    """Return the ratio of their seconds per row to ours."""

    def per_row(turns: Sequence[Mapping[str, Any]]) -> float:
        return float(sum(turn[clock] for turn in turns) / sum(turn["rows"] for turn in turns))

    return per_row(theirs) / per_row(ours)


def projected_seconds(facts: Mapping[str, float], seconds_per_step: float, epochs: int) -> float:
    """Project the seconds of a whole training from its measured parts."""
    once = facts["tokenise_seconds"] + facts["teacher_seconds"]
    epoch = facts["order_seconds"] + facts["steps_per_epoch"] * seconds_per_step
    return once + epochs * epoch


def quantile(values: Sequence[float], share: float) -> float:
    """Return a quantile of the values, without interpolation."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
