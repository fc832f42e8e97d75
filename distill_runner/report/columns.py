"""The figures that a table shows beside the primary metric: other metrics, extra splits."""

from __future__ import annotations

from collections.abc import Iterable

from distill_runner.results.schema import RunResult
from distill_runner.results.scores import Scores

_USUAL_SPLITS = ("validation", "test", "selection_on_validation")
_UNBALANCED = 0.6  # share of the largest class above which it is stated beside accuracy

Column = tuple[str, str]  # split, metric


def columns_of(results: Iterable[RunResult]) -> dict[str, Column]:
    """By title, the columns that any of these runs has beside its primary metric."""
    found: dict[str, Column] = {}
    for result in results:
        found |= {f"{metric} (test)": ("test", metric) for metric in other_metrics(result)}
        for split in result.metrics:
            if split not in _USUAL_SPLITS:
                found[split] = (split, result.primary_metric)
    return found


def other_metrics(result: RunResult) -> list[str]:
    """The metrics of a run that have columns of their own."""
    usual = ("accuracy", result.primary_metric)
    return [metric for metric in result.scored_by if metric not in usual]


def deciding_metric(result: RunResult) -> str:
    """The metric that jobs are chosen by: the first of `scored_by`."""
    first = result.scored_by[0]
    return first if first in other_metrics(result) else result.primary_metric


def gain_in(result: RunResult, column: Column) -> float | None:
    """The lead in points over the baseline; None where one of the two has no such figure."""
    ours = percent(result.metrics, column)
    theirs = percent(result.baseline.metrics, column) if result.baseline else None
    return None if ours is None or theirs is None else ours - theirs


def broken_off_line(result: RunResult) -> str | None:
    """Says that a chain ended early, and why."""
    found = result.broken_off
    if found is None:
        return None
    return f"THE CHAIN ENDED before {found.before}: {found.because} {found.kept} is the student."


def published_rows(result: RunResult) -> str | None:
    """The training rows behind a published figure and behind ours, if the source names them."""
    theirs = result.published.train_rows if result.published else None
    rows = result.data.rows
    if theirs is None or "train" not in rows:
        return None
    held = f", {rows['test']:,} of theirs are our test rows" if rows.get("test") else ""
    return f"theirs learned from {theirs:,} training rows, ours from {rows['train']:,}{held}"


def gain_or_difference(results: Iterable[RunResult]) -> str:
    """The word for the lead over the baseline: no gain if that was trained for fewer steps."""
    fewer = any(one.baseline is not None and one.baseline.fewer_steps for one in results)
    return "difference" if fewer else "gain"


def percent(scores: Scores, column: Column) -> float | None:
    """The figure in %; None where the model was not scored by it."""
    split, metric = column
    value = scores[split].metrics.get(metric) if split in scores else None
    return None if value is None else 100 * value


def cell(scores: Scores, column: Column) -> str:
    """The figure as a table shows it."""
    value = percent(scores, column)
    return "–" if value is None else f"{value:.2f}"


def notes(result: RunResult) -> list[str]:
    """Facts without which the test figures mislead: unbalanced classes, unranked groups."""
    test = result.metrics.get("test")
    if test is None:
        return []
    lines = []
    if test.majority is not None and test.majority > _UNBALANCED:
        share = f"{100 * test.majority:.2f}"
        lines.append(f"Always answering the largest class has an accuracy of {share} on test.")
    if test.questions is not None and test.without_positive is not None:
        ranked = test.questions - test.without_positive
        lines.append(
            f"Ranked: {ranked:,} of the {test.questions:,} groups of test rows; "
            f"{test.without_positive:,} have no row of class 1 and are left out."
        )
    return lines
