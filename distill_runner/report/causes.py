"""Groups the jobs of a sweep that did not finish by their cause."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from distill_runner.report.choosing import Job, jobs_named

_ENDED = ("finished", "planned")


def unfinished(jobs: Sequence[Job]) -> list[Job]:
    """The jobs that neither finished nor were only to be planned."""
    return [(name, found) for name, found in jobs if found["status"] not in _ENDED]


def status_of(found: Mapping[str, Any]) -> str:
    """In a table: one that has only started was broken off from outside."""
    return "broken off" if found["status"] == "started" else str(found["status"])


def cause_of(found: Mapping[str, Any]) -> str | None:
    """The first line of what a job ended with; None where it finished."""
    if found["status"] in _ENDED:
        return None
    if found["status"] == "started":
        return "it ended without a word; its log.txt says how far it came"
    return (str(found.get("error", "")).splitlines() or ["no cause is known"])[0]


def cause_lines(jobs: Sequence[Job]) -> list[str]:
    """One line a cause: how jobs ended, which ones, and why."""
    groups: dict[tuple[str, str | None], list[str]] = defaultdict(list)
    for name, found in unfinished(jobs):
        groups[status_of(found), cause_of(found)].append(name)
    return [
        f"{status.capitalize()}: {jobs_named(names)}: {cause}"
        for (status, cause), names in groups.items()
    ]


def count_line(jobs: Sequence[Job]) -> str:
    """How many jobs did not finish, and in which way."""
    bad = unfinished(jobs)
    ways = Counter(status_of(found) for _, found in bad)
    how = ", ".join(f"{count} {way}" for way, count in ways.items())
    left = len(jobs) - len(bad)
    kept = {0: "No job finished.", 1: "The other one is kept."}
    rest = kept.get(left, f"The other {left} are kept.")
    return f"{len(bad)} of {len(jobs)} jobs did not finish ({how}). {rest}"
