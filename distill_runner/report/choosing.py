"""Chooses the best job of a sweep by validation, never by test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from distill_runner.report.at_chance import at_chance
from distill_runner.report.columns import deciding_metric, percent
from distill_runner.results.files import Job
from distill_runner.results.schema import RunResult

Task = tuple[str, str]  # data set and metric; only jobs of the same task can be compared

BEST = "★"


def list_jobs(names: Sequence[str]) -> str:
    """Name jobs in words, such as `job 3` or `jobs 1, 2 and 5`."""
    if len(names) == 1:
        return f"job {names[0]}"
    return f"jobs {', '.join(names[:-1])} and {names[-1]}"


def validation_score(result: RunResult) -> float | None:
    """Return the first metric on validation, the larger the better; None without such rows."""
    for split in ("validation", "selection_on_validation"):
        if split in result.metrics:
            return result.metrics[split].metrics.get(deciding_metric(result))
    return None


def task_of(result: RunResult) -> Task:
    """Return the data set and the metric by which a run is compared with others."""
    return result.dataset, deciding_metric(result)


def results_of(jobs: Sequence[Job]) -> dict[str, RunResult]:
    """Return the results of the finished jobs, by the jobs' names."""
    return {job.name: job.result for job in jobs if job.result is not None}


def sorted_jobs(jobs: Sequence[Job]) -> list[Job]:
    """Sort jobs by task, then by validation score; jobs without a result come last."""
    done = results_of(jobs)
    tasks = list(dict.fromkeys(map(task_of, done.values())))

    def place(job: Job) -> tuple[int, float]:
        result = done[job.name]
        value = validation_score(result)
        return tasks.index(task_of(result)), float("inf") if value is None else -value

    finished = [job for job in jobs if job.name in done]
    return [*sorted(finished, key=place), *(job for job in jobs if job.name not in done)]


def best_results(jobs: Sequence[Job]) -> dict[str, RunResult]:
    """Return the best job of each task, by name; none for a task without validation rows."""
    found: dict[Task, tuple[str, RunResult]] = {}
    for name, result in results_of(sorted_jobs(jobs)).items():
        if validation_score(result) is not None:
            found.setdefault(task_of(result), (name, result))
    return dict(found.values())


def choice_lines(jobs: Sequence[Job], differing: Mapping[str, str]) -> list[str]:
    """Return the lines below the table: the best jobs, and how they were chosen.

    Args:
        jobs: of the sweep.
        differing: by job, the overrides that not all jobs share.
    """
    chosen, done = best_results(jobs), results_of(jobs)
    if not chosen:
        return ["No job has validation rows, so none is marked as the best."] if done else []
    lines = [
        _best_line(name, done, differing[name], several_tasks=len(chosen) > 1) for name in chosen
    ]
    lines.append("Choose by validation. Test is for reporting the job that was chosen.")
    if any("selection_on_validation" in result.metrics for result in done.values()):
        tuned = any(result.tuning for result in done.values())
        what = "each job's training" if tuned else "the epoch"
        lines.append(f"Validation has chosen {what} too, so it is no result.")
    return lines


def _best_line(
    name: str, done: Mapping[str, RunResult], differing: str, *, several_tasks: bool
) -> str:
    result = done[name]
    value = validation_score(result)
    test = percent(result.metrics, ("test", deciding_metric(result)))
    assert value is not None
    equal = [
        other
        for other, theirs in done.items()
        if other != name
        and task_of(theirs) == task_of(result)
        and validation_score(theirs) == value
    ]
    task = f" on {result.dataset}" if several_tasks else ""
    line = f"{BEST} Best by validation{task}: job {name} ({differing}), {100 * value:.2f}"
    line += f" (test {test:.2f})" if test is not None else ""
    line += f"; as high on validation: {list_jobs(equal)}" if equal else ""
    return line + ("; it is no better than chance" if at_chance(result.student) else "")
