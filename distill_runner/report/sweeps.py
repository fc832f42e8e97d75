"""Makes the rows of a sweep's tables from the results of its jobs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from distill_runner.report.at_chance import at_chance, both_at_chance
from distill_runner.report.causes import status_of
from distill_runner.report.choosing import (
    BEST,
    best_results,
    results_of,
    sorted_jobs,
    validation_score,
)
from distill_runner.report.columns import (
    Column,
    cell,
    columns_of,
    deciding_metric,
    gain_in,
    gain_or_difference,
    percent,
    published_rows,
)
from distill_runner.results.files import Job
from distill_runner.results.schema import RunResult


def shared_overrides(jobs: Sequence[Job]) -> list[str]:
    """Return the overrides that all jobs share."""
    return [item for item in jobs[0].overrides if all(item in job.overrides for job in jobs)]


def differing_overrides(jobs: Sequence[Job]) -> dict[str, str]:
    """Return, by job, the overrides that not all jobs share."""
    common, found = set(shared_overrides(jobs)), {}
    for job in jobs:
        own_overrides = " ".join(item for item in job.overrides if item not in common)
        method = job.result.method if job.result else "the one job"
        found[job.name] = own_overrides.removeprefix("experiment=") or method
    return found


def job_rows(jobs: Sequence[Job]) -> list[dict[str, str]]:
    """Return one row per job, the best on validation first: its overrides and its figures in %.

    Each shows the first metric of its task, which has its own column if the tasks differ in it.
    """
    done, differing = results_of(jobs), differing_overrides(jobs)
    metric, own = common_metric(done.values()), other_columns(done.values())
    published = any(result.published for result in done.values())
    best, rows = best_results(jobs), []
    for job in sorted_jobs(jobs):
        row = {"job": f"{job.name}: {differing[job.name]}"}
        row |= _row(job, metric, own, published=published)
        if job.name in best:
            row["validation"] = f"{BEST} {row['validation']}"
        rows.append(row)
    # All jobs share the column, so it is called a difference if that is right for any job.
    lead = gain_or_difference(done.values())
    rows = [{lead if at == "gain" else at: text for at, text in row.items()} for row in rows]
    droppable = ("at chance", "95% of the test", "teachers", "gain (validation)")
    empty = {title for title in droppable if all(row[title] == "–" for row in rows)}
    return [{title: row[title] for title in row if title not in empty} for row in rows]


def common_metric(results: Iterable[RunResult]) -> str | None:
    """Return the first metric of all finished jobs; None if they differ in it."""
    metrics = set(map(deciding_metric, results))
    return None if len(metrics) > 1 else next(iter(metrics), "accuracy")


def other_columns(results: Collection[RunResult]) -> dict[str, Column]:
    """Return columns for the metrics and splits that some job has besides its first metric."""
    columns = columns_of(results)
    columns |= {
        f"{result.primary_metric} (test)": ("test", result.primary_metric)
        for result in results
        if deciding_metric(result) != result.primary_metric
    }
    return {
        title: column
        for title, column in columns.items()
        if any(
            column != ("test", deciding_metric(result))
            and percent(result.metrics, column) is not None
            for result in results
        )
    }


def _row(
    job: Job, metric: str | None, own: Mapping[str, Column], *, published: bool
) -> dict[str, str]:
    result, row = job.result, {}
    if metric is None:
        row["metric"] = deciding_metric(result) if result else "–"
    figures, title = _figures(result) if result else _no_figures(job), test_column(metric)
    row |= {title if at == "test" else at: text for at, text in figures.items()}
    if published:
        known = result.published if result else None
        row["published"] = f"{known.accuracy:g}" if known else "–"
    tested = result is not None and "test" in result.metrics
    row |= _beside_test(result) if result and tested else dict.fromkeys(_BESIDE, "–")
    row["parameters"] = f"{result.student.parameters:,}" if result else "–"
    scores = result.metrics if result else {}
    return row | {title: cell(scores, column) for title, column in own.items()}


def _no_figures(job: Job) -> dict[str, str]:
    return {"validation": status_of(job), "test": "–", "gain": "–"}


def _figures(result: RunResult) -> dict[str, str]:
    """Return validation score, test score and gain in the first metric."""
    column, value = ("test", deciding_metric(result)), validation_score(result)
    return {
        "validation": "no rows" if value is None else f"{100 * value:.2f}",
        "test": cell(result.metrics, column) if "test" in result.metrics else "no rows",
        "gain": "chance" if both_at_chance(result) else format_points(gain_in(result, column)),
    }


_BESIDE = ("at chance", "95% of the test", "gain (validation)", "teachers", "no teacher")


def _beside_test(result: RunResult) -> dict[str, str]:
    """Return the less important columns; only the primary metric has an interval."""
    test, metric, baseline = result.metrics["test"], deciding_metric(result), result.baseline
    column, interval = ("test", metric), f"{100 * test.low:.1f}–{100 * test.high:.1f}"
    on_validation = gain_in(result, ("validation", metric))
    cells = (
        _at_chance(result),
        interval if metric == test.primary_metric else "–",
        "–" if both_at_chance(result) else format_points(on_validation),
        _teachers(result, column),
        cell(baseline.metrics, column) if baseline else "–",
    )
    return dict(zip(_BESIDE, cells, strict=True))


def _at_chance(result: RunResult) -> str:
    """Say which of student and baseline are no better than chance."""
    if both_at_chance(result):
        return "both"
    if at_chance(result.student):
        return "student"
    return "no teacher" if at_chance(result.baseline) else "–"


def _teachers(result: RunResult, column: Column) -> str:
    """Return the figure of the joined teachers, or of the only teacher."""
    if result.together:
        return cell(result.together.metrics, column)
    return cell(result.teachers[0].metrics, column) if result.teachers else "–"


def test_column(metric: str | None) -> str:
    """Return the title of the column of test scores."""
    """Return the title of the column of test scores."""
    return "test" if metric in (None, "accuracy") else f"{metric} (test)"


def sources(jobs: Sequence[Job]) -> list[str]:
    """Return one line per source of published figures."""
    lines = set()
    for result in results_of(jobs).values():
        known, rows = result.published, published_rows(result)
        if known:
            line = (
                f"published: {known.source}, {known.rows:,} {known.split} rows of {known.dataset}"
            )
            lines.add(f"{line}; {rows}" if rows else line)
    return sorted(lines)


def format_points(points: float | None) -> str:
    """Format a difference in points of a metric."""
    """Format a difference in points of a metric."""
    return "–" if points is None else f"{points:+.2f}"
