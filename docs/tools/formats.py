"""Reads records, and formats their figures for the tables of README and docs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from distill_runner.evaluation.metrics.estimate import Estimate, holm
from distill_runner.report.over_seeds import lead_over_seeds
from distill_runner.results.files import read_result
from distill_runner.results.schema import RunResult

ROOT = Path(__file__).parents[2]
RECORDS = ROOT / "outputs" / "records"
Runs = Sequence[tuple[Path, RunResult]]


@cache
def runs(record: str, name: str) -> Runs:
    """Return the runs NAME-1, NAME-2, … of a record in the order of their seeds."""
    folders = (RECORDS / record).glob(f"{name}-*")
    found = [
        (folder, read_result(folder))
        for folder in folders
        if folder.name[len(name) + 1 :].isdigit()
    ]
    return sorted(found, key=lambda run: run[1].seed)


def signed(value: float, digits: int = 2) -> str:
    """Format a number with its sign, such as +0.25 or −0.25, with a real minus sign."""
    rounded = f"{value:+.{digits}f}".replace("-", "−")
    return rounded if float(f"{value:.{digits}f}") else f"{0:.{digits}f}"


def lead(found: Estimate, digits: int = 2) -> str:
    """Format a difference in points with its interval over seeds and clusters."""
    low, high = _ends(found)
    ends = f"[{signed(low, digits)}, {signed(high, digits)}]"
    return f"{signed(100 * found.value, digits)} {ends}"


def score(found: Estimate, digits: int = 1) -> str:
    """Format a score in % with its interval over seeds and clusters."""
    low, high = _ends(found)
    return f"{100 * found.value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def _ends(found: Estimate) -> tuple[float, float]:
    interval = found.interval()
    assert interval is not None  # a table names only settings with enough seeds
    return 100 * interval.low, 100 * interval.high


def adjusted(leads: Sequence[Estimate]) -> list[str]:
    """Format the p-values of a table's leads, adjusted for their number (Holm)."""
    return [
        "<0.001" if value < 0.001 else f"{value:.3f}"
        for value in holm([found.p_value() or 0.0 for found in leads])
    ]


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def lead_over(ours: Runs, theirs: Runs, metric: str = "accuracy", *, other: str = "") -> Estimate:
    """Return one method's lead over another's, paired by cluster and by the seeds of both.

    Args:
        ours, theirs: the runs.
        metric: one of theirs.
        other: the folder of the second model's predictions; empty: the student.
    """
    both = {result.seed for _, result in ours} & {result.seed for _, result in theirs}
    first, second = ([run for run in side if run[1].seed in both] for side in (ours, theirs))
    return lead_over_seeds(first, metric, over=second, other=other)
