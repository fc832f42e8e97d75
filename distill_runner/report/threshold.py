"""Reports the student's decision threshold, in the terminal and in the card."""

from __future__ import annotations

from distill_runner.results.schema import RunResult


def threshold_lines(result: RunResult) -> list[str]:
    """Say what the threshold is and what it changes on the splits that did not choose it."""
    found = result.threshold
    if found is None:
        return []
    lines = [
        f"Decision threshold, fitted on validation for {found.metric}: {found.label} from a "
        f"probability of {found.value:.3f}."
    ]
    for split, score in found.splits.items():
        if split != "validation":
            change = score.change
            lines.append(
                f"  {split}: {found.metric} {100 * score.before:.2f} → {100 * score.after:.2f} "
                f"({100 * change.value:+.2f}{_interval(change.low, change.high)})"
            )
    return lines


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" [{100 * low:+.2f}, {100 * high:+.2f}]"
