"""Chooses the figures that a table shows besides the primary metric: other metrics and splits."""

from __future__ import annotations

from collections.abc import Iterable

from distill_runner.console.names import join_names
from distill_runner.results.schema import RunResult
from distill_runner.results.scores import Score, Scores

_USUAL_SPLITS = ("validation", "test", "selection_on_validation")
_UNBALANCED = 0.6  # a larger share of the largest class is stated next to the accuracy
_ABOUT_ALL = 0.95  # share of the rows above which clusters need not be mentioned

Column = tuple[str, str]  # split, metric


def columns_of(results: Iterable[RunResult]) -> dict[str, Column]:
    """Return the columns that any of these runs has besides its primary metric, by title."""
    found: dict[str, Column] = {}
    for result in results:
        found |= {f"{metric} (test)": ("test", metric) for metric in other_metrics(result)}
        for split in result.metrics:
            if split not in _USUAL_SPLITS:
                found[split] = (split, result.primary_metric)
    return found


def other_metrics(result: RunResult) -> list[str]:
    """Return a run's metrics other than accuracy and the primary metric."""
    usual = ("accuracy", result.primary_metric)
    return [metric for metric in result.scored_by if metric not in usual]


def deciding_metric(result: RunResult) -> str:
    """Return the metric that jobs are chosen by: the first of `scored_by`."""
    first = result.scored_by[0]
    return first if first in other_metrics(result) else result.primary_metric


def gain_in(result: RunResult, column: Column) -> float | None:
    """Return the lead over the baseline in points; None if either lacks the figure."""
    ours = percent(result.metrics, column)
    theirs = percent(result.baseline.metrics, column) if result.baseline else None
    return None if ours is None or theirs is None else ours - theirs


def broken_off_line(result: RunResult) -> str | None:
    """Say that a chain ended early, and why; None if it did not."""
    found = result.broken_off
    if found is None:
        return None
    return f"THE CHAIN ENDED before {found.before}: {found.because} {found.kept} is the student."


def published_rows(result: RunResult) -> str | None:
    """Compare the training rows of a published figure with ours; None if the source omits them."""
    theirs = result.published.train_rows if result.published else None
    rows = result.data.rows
    if theirs is None or "train" not in rows:
        return None
    held = f", {rows['test']:,} of theirs are our test rows" if rows.get("test") else ""
    return f"theirs learned from {theirs:,} training rows, ours from {rows['train']:,}{held}"


def gain_or_difference(results: Iterable[RunResult]) -> str:
    """Name the lead over the baseline: "difference" if a baseline was trained for fewer steps."""
    fewer = any(one.baseline is not None and one.baseline.fewer_steps for one in results)
    return "difference" if fewer else "gain"


def percent(scores: Scores, column: Column) -> float | None:
    """Return the figure in %; None if the model was not scored by it."""
    split, metric = column
    value = scores[split].metrics.get(metric) if split in scores else None
    return None if value is None else 100 * value


def cell(scores: Scores, column: Column) -> str:
    """Format the figure as a table shows it."""
    value = percent(scores, column)
    return "–" if value is None else f"{value:.2f}"


def effective_rows(score: Score) -> str:
    """Format how many independent rows a share is worth; "–" if about as many as there are."""
    found = score.effective_n
    if found is None or found > _ABOUT_ALL * score.n:
        return "–"
    return f"{found:,.0f}"


def notes(result: RunResult) -> list[str]:
    """Note what makes test figures misleading: unbalanced classes, unranked groups."""
    test = result.metrics.get("test")
    if test is None:
        return []
    lines = []
    if test.majority is not None and test.majority > _UNBALANCED:
        share = f"{100 * test.majority:.2f}"
        lines.append(f"Always predicting the largest class has an accuracy of {share} on test.")
    if test.questions is not None and test.without_positive is not None:
        ranked = test.questions - test.without_positive
        lines.append(
            f"Ranked: {ranked:,} of the {test.questions:,} groups of test rows; "
            f"{test.without_positive:,} have no row of class 1 and are left out."
        )
    return lines


def unscored_lines(result: RunResult) -> list[str]:
    """Say for each teacher that is a file on which splits its score is unknown, and why."""
    lines = []
    for teacher in result.teachers:
        answered = teacher.answers.answered if teacher.answers else {}
        missing = [
            f"{answered[split]:,} of {result.data.rows[split]:,} {split}"
            for split in _USUAL_SPLITS
            if split in answered and answered[split] < result.data.rows[split]
        ]
        if missing:
            rows = join_names(missing)
            lines.append(f"Unknown: the score of {teacher.name}, which answers {rows} rows.")
    return lines
