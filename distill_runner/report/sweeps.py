"""Rows of a sweep's table, from the results of its jobs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from distill_runner.intervals import mean_interval
from distill_runner.report.at_chance import at_chance, both_at_chance
from distill_runner.report.columns import (
    Column,
    columns_of,
    figure,
    gain_or_difference,
    gained,
    headline,
    judged_by,
    learnt_from,
    shown,
)

Job = tuple[str, Mapping[str, Any]]  # name of the job's folder, its result


def shared(jobs: Sequence[Job]) -> list[str]:
    """What was typed for every one of the jobs alike."""
    first = jobs[0][1]["overrides"]
    return [item for item in first if all(item in found["overrides"] for _, found in jobs)]


def job_rows(jobs: Sequence[Job]) -> list[dict[str, str]]:
    """One row a job: what it differs in, and what it gave on the test rows, in %.

    Each by the metric that comes first in its task, named where the tasks differ in it.
    """
    common, metric = set(shared(jobs)), _judged_by(jobs)
    published = any(found.get("published") for _, found in jobs)
    own = _beside([found for _, found in jobs])
    rows = [_row(name, found, common, metric, own, published=published) for name, found in jobs]
    # One name for the column: where one of the jobs has no gain to show, none is called so.
    lead = gain_or_difference([found for _, found in jobs])
    rows = [{lead if at == "gain" else at: cell for at, cell in row.items()} for row in rows]
    droppable = ("at chance", "95%", "teachers")
    empty = {title for title in droppable if all(row[title] == "–" for row in rows)}
    return [{title: row[title] for title in row if title not in empty} for row in rows]


def _judged_by(jobs: Sequence[Job]) -> str | None:
    """The metric that comes first in every finished job; None: they differ in it."""
    first = {judged_by(found) for _, found in jobs if found["status"] == "finished"}
    return None if len(first) > 1 else next(iter(first), "accuracy")


def _beside(results: Sequence[Mapping[str, Any]]) -> dict[str, Column]:
    """The columns of what some job was scored by and is not judged by."""
    done = [found for found in results if found["status"] == "finished"]
    own = columns_of(done)
    own |= {
        f"{headline(one)} (test)": ("test", headline(one))
        for one in done
        if judged_by(one) != headline(one)
    }
    return {
        title: column
        for title, column in own.items()
        if any(
            column != ("test", judged_by(one)) and figure(one["metrics"], column) is not None
            for one in done
        )
    }


def _row(
    name: str,
    found: Mapping[str, Any],
    common: set[str],
    metric: str | None,
    own: Mapping[str, Column],
    *,
    published: bool,
) -> dict[str, str]:
    asked = " ".join(item for item in found["overrides"] if item not in common)
    asked = asked.removeprefix("experiment=") or found.get("method", "the one job")
    done = found["status"] == "finished"
    row = {"job": f"{name}: {asked}"}
    if metric is None:
        row["metric"] = judged_by(found) if done else "–"
    row |= _figures(found, _title(metric))
    if published:
        known = found.get("published")
        row["published"] = f"{known['accuracy']:g}" if known else "–"
    row["parameters"] = f"{found['student']['parameters']:,}" if done else "–"
    return row | {title: shown(found.get("metrics", {}), column) for title, column in own.items()}


def _figures(found: Mapping[str, Any], title: str) -> dict[str, str]:
    """By the metric that the job is judged by; an interval has the headline alone."""
    done = found["status"] == "finished"
    test = found["metrics"].get("test") if done else None
    if test is None:
        told = "no rows" if done else found["status"]
        rest = ("at chance", "95%", "teachers", "no teacher", "gain")
        return {title: told} | dict.fromkeys(rest, "–")
    column, baseline = ("test", judged_by(found)), found["baseline"]
    interval = f"{100 * test['low']:.1f}–{100 * test['high']:.1f}"
    return {
        title: shown(found["metrics"], column),
        "at chance": _at_chance(found),
        "95%": interval if judged_by(found) == headline(found) else "–",
        "teachers": _of_teachers(found, column),
        "no teacher": shown(baseline["metrics"], column) if baseline else "–",
        "gain": "chance" if both_at_chance(found) else _signed(gained(found, column)),
    }


def _at_chance(found: Mapping[str, Any]) -> str:
    """Which of student and student without a teacher are no better than chance."""
    if both_at_chance(found):
        return "both"
    if at_chance(found["student"]):
        return "student"
    return "no teacher" if at_chance(found["baseline"]) else "–"


def _of_teachers(found: Mapping[str, Any], column: Column) -> str:
    """Of the teachers together, or of the one there is."""
    teachers = [found["together"]] if found.get("together") else found.get("teachers", ())
    return shown(teachers[0]["metrics"], column) if teachers else "–"


def _title(metric: str | None) -> str:
    """Accuracy on test has always been called so."""
    return "test" if metric in (None, "accuracy") else f"{metric} (test)"


def sources(jobs: Sequence[Job]) -> list[str]:
    """Where the published figures come from, one line a source."""
    lines = {
        f"published: {one['source']}, {one['rows']:,} {one['split']} rows of {one['dataset']}"
        + (f"; {learnt}" if (learnt := learnt_from(found)) else "")
        for _, found in jobs
        if (one := found.get("published"))
    }
    return sorted(lines)


def seed_rows(jobs: Sequence[Job]) -> list[dict[str, str]]:
    """Mean and interval over seeds, for settings that were run with more than one."""
    common = set(shared(jobs))
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for _, found in jobs:
        if found["status"] == "finished" and "test" in found["metrics"]:
            differs = [item for item in found["overrides"] if item not in common]
            asked = [item for item in differs if not item.startswith("seed=")]
            groups[" ".join(asked)].append(found)
    if all(len(found) < 2 for found in groups.values()):
        return []
    done = [one for found in groups.values() for one in found]
    metric, own, lead = _judged_by(jobs), _beside(done), gain_or_difference(done)
    rows = [_seed_row(asked, found, metric, own, lead) for asked, found in groups.items()]
    if all(row["at chance"] == "–" for row in rows):
        rows = [{title: row[title] for title in row if title != "at chance"} for row in rows]
    return rows


def _seed_row(
    asked: str,
    found: Sequence[Mapping[str, Any]],
    metric: str | None,
    own: Mapping[str, Column],
    lead: str,
) -> dict[str, str]:
    column = ("test", judged_by(found[0]))
    known = [figure(one["metrics"], column) for one in found]
    figures = [value for value in known if value is not None]
    leads = [gained(one, column) for one in found]
    chance = sum(at_chance(one["student"]) for one in found)
    nothing = all(map(both_at_chance, found))
    gains = [] if nothing else [points for points in leads if points is not None]
    row = {"job": asked or "all seeds"}
    if metric is None:
        row["metric"] = judged_by(found[0])
    return {
        **row,
        "seeds": str(len(found)),
        "at chance": f"{chance} of {len(found)}" if chance else "–",
        f"mean {_title(metric)}".removesuffix(" test"): f"{sum(figures) / len(figures):.2f}",
        "95% of the mean": _reach(figures),
        f"mean {lead}": _signed(sum(gains) / len(gains) if gains else None),
        f"95% of the {lead}": _reach(gains),
        **{f"mean {title}": _mean(found, column) for title, column in own.items()},
    }


def _mean(found: Sequence[Mapping[str, Any]], column: Column) -> str:
    figures = [figure(one["metrics"], column) for one in found]
    known = [value for value in figures if value is not None]
    return f"{sum(known) / len(known):.2f}" if len(known) == len(found) else "–"


def _signed(points: float | None) -> str:
    return "–" if points is None else f"{points:+.2f}"


def _reach(values: Sequence[float]) -> str:
    interval = mean_interval(values)
    return f"{interval.low:.2f}..{interval.high:.2f}" if interval else "–"
