"""Chooses the best job of a sweep by validation, never by test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from distill_runner.report.at_chance import at_chance
from distill_runner.report.columns import figure, judged_by

Job = tuple[str, Mapping[str, Any]]  # name of the job's folder, its result
Task = tuple[str, str]  # data set, metric: jobs of one task can be compared

BEST = "★"


def finished(found: Mapping[str, Any]) -> bool:
    """Whether the job has a result."""
    return bool(found["status"] == "finished")


def jobs_named(names: Sequence[str]) -> str:
    """Such as `job 3` or `jobs 1, 2 and 5`."""
    if len(names) == 1:
        return f"job {names[0]}"
    return f"jobs {', '.join(names[:-1])} and {names[-1]}"


def on_validation(result: Mapping[str, Any]) -> float | None:
    """The task's first metric on the validation rows; larger is better."""
    metrics = result.get("metrics", {})
    for split in ("validation", "selection_on_validation"):
        value = (metrics.get(split) or {}).get(judged_by(result))
        if value is not None:
            return float(value)
    return None


def task_of(result: Mapping[str, Any]) -> Task:
    """What a finished job was scored on, and by."""
    return str(result.get("dataset", "")), judged_by(result)


def ordered(jobs: Sequence[Job]) -> list[Job]:
    """Task by task, the best on validation first; jobs without a result come last."""
    done = [job for job in jobs if finished(job[1])]
    tasks = list(dict.fromkeys(task_of(found) for _, found in done))

    def place(job: Job) -> tuple[int, float]:
        value = on_validation(job[1])
        return tasks.index(task_of(job[1])), float("inf") if value is None else -value

    return [*sorted(done, key=place), *(job for job in jobs if not finished(job[1]))]


def best(jobs: Sequence[Job]) -> list[Job]:
    """The best job of each task; none of a task without validation rows."""
    found: dict[Task, Job] = {}
    for job in ordered(jobs):
        if finished(job[1]) and on_validation(job[1]) is not None:
            found.setdefault(task_of(job[1]), job)
    return list(found.values())


def choice_lines(jobs: Sequence[Job], asked: Mapping[str, str]) -> list[str]:
    """Below the table: the best jobs, and by what they were chosen.

    Args:
        asked: what each job was told apart from the others, by its name.
    """
    chosen = best(jobs)
    if not chosen:
        return ["No job has validation rows, so none is marked as the best."] if _any(jobs) else []
    several = len(chosen) > 1
    lines = [_best_line(job, jobs, asked, several=several) for job in chosen]
    lines.append("Choose by validation. Test is for reporting the job that was chosen.")
    if any(_chose_an_epoch(found) for _, found in jobs):
        lines.append("Validation has chosen the epoch too, so it is no result.")
    return lines


def _best_line(job: Job, jobs: Sequence[Job], asked: Mapping[str, str], *, several: bool) -> str:
    name, found = job
    value, test = on_validation(found), figure(found["metrics"], ("test", judged_by(found)))
    assert value is not None
    equal = [
        other
        for other, theirs in jobs
        if other != name
        and finished(theirs)
        and task_of(theirs) == task_of(found)
        and on_validation(theirs) == value
    ]
    of = f" on {task_of(found)[0]}" if several else ""
    line = f"{BEST} Best by validation{of}: job {name} ({asked[name]}), {100 * value:.2f}"
    line += f" (test {test:.2f})" if test is not None else ""
    line += f"; as high on validation: {jobs_named(equal)}" if equal else ""
    return line + ("; it is no better than chance" if at_chance(found["student"]) else "")


def _any(jobs: Sequence[Job]) -> bool:
    return any(finished(found) for _, found in jobs)


def _chose_an_epoch(found: Mapping[str, Any]) -> bool:
    return "selection_on_validation" in found.get("metrics", {})
