"""Groups the jobs of a sweep that did not finish by their cause."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from distill_runner.report.choosing import list_jobs
from distill_runner.results.files import Job

_ENDED = ("finished", "planned")


def unfinished(jobs: Sequence[Job]) -> list[Job]:
    """Return the jobs that neither finished nor ended as a planned dry run."""
    return [job for job in jobs if job.attempt.status not in _ENDED]


def status_of(job: Job) -> str:
    """Return how the job ended, as a table shows it; a job still "started" was killed."""
    return "broken off" if job.attempt.status == "started" else job.attempt.status


def cause_of(job: Job) -> str | None:
    """Return the first line of the error that ended a job; None if it finished."""
    if job.attempt.status in _ENDED:
        return None
    if job.attempt.status == "started":
        return "it ended without an error message; its log.txt shows how far it got"
    return ((job.attempt.error or "").splitlines() or ["unknown cause"])[0]


def cause_lines(jobs: Sequence[Job]) -> list[str]:
    """Return one line per cause: how jobs ended, which ones, and why."""
    groups: dict[tuple[str, str | None], list[str]] = defaultdict(list)
    for job in unfinished(jobs):
        groups[status_of(job), cause_of(job)].append(job.name)
    return [
        f"{status.capitalize()}: {list_jobs(names)}: {cause}"
        for (status, cause), names in groups.items()
    ]


def count_line(jobs: Sequence[Job]) -> str:
    """Say how many jobs did not finish, and how they ended."""
    bad = unfinished(jobs)
    ways = Counter(map(status_of, bad))
    how = ", ".join(f"{count} {way}" for way, count in ways.items())
    left = len(jobs) - len(bad)
    kept = {0: "No job finished.", 1: "The other one is kept."}
    rest = kept.get(left, f"The other {left} are kept.")
    return f"{len(bad)} of {len(jobs)} jobs did not finish ({how}). {rest}"
