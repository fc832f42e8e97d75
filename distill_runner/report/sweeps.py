"""Rows of a sweep's table, from the results of its jobs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from distill_runner.evaluation.metrics.intervals import mean_interval
from distill_runner.report.at_chance import at_chance, both_at_chance
from distill_runner.report.causes import status_of
from distill_runner.report.choosing import BEST, Job, best, finished, on_validation, ordered
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

_EQUAL = "equal"  # in place of an interval of no width


def shared(jobs: Sequence[Job]) -> list[str]:
    """What was typed for every one of the jobs alike."""
    first = jobs[0][1]["overrides"]
    return [item for item in first if all(item in found["overrides"] for _, found in jobs)]


def asked_of(jobs: Sequence[Job]) -> dict[str, str]:
    """What was typed for each job, by its name, without what was typed for all."""
    common = set(shared(jobs))
    found = {}
    for name, result in jobs:
        asked = " ".join(item for item in result["overrides"] if item not in common)
        found[name] = asked.removeprefix("experiment=") or result.get("method", "the one job")
    return found


def job_rows(jobs: Sequence[Job]) -> list[dict[str, str]]:
    """One row a job, the best on validation first: what it differs in, and what it gave, in %.

    Each by the metric that comes first in its task, named where the tasks differ in it.
    """
    asked, metric = asked_of(jobs), _judged_by(jobs)
    published = any(found.get("published") for _, found in jobs)
    own = _beside([found for _, found in jobs])
    rows = [
        _row(f"{name}: {asked[name]}", found, metric, own, published=published)
        for name, found in ordered(jobs)
    ]
    for name, _ in best(jobs):
        row = rows[[at for at, _ in ordered(jobs)].index(name)]
        row["validation"] = f"{BEST} {row['validation']}"
    # One name for the column: where one of the jobs has no gain to show, none is called so.
    lead = gain_or_difference([found for _, found in jobs])
    rows = [{lead if at == "gain" else at: cell for at, cell in row.items()} for row in rows]
    droppable = ("at chance", "95% of the test", "teachers", "gain (validation)")
    empty = {title for title in droppable if all(row[title] == "–" for row in rows)}
    return [{title: row[title] for title in row if title not in empty} for row in rows]


def _judged_by(jobs: Sequence[Job]) -> str | None:
    """The metric that comes first in every finished job; None: they differ in it."""
    first = {judged_by(found) for _, found in jobs if finished(found)}
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
    job: str,
    found: Mapping[str, Any],
    metric: str | None,
    own: Mapping[str, Column],
    *,
    published: bool,
) -> dict[str, str]:
    done = finished(found)
    row = {"job": job}
    if metric is None:
        row["metric"] = judged_by(found) if done else "–"
    figures, title = _figures(found) if done else _none(found), _title(metric)
    row |= {title if at == "test" else at: cell for at, cell in figures.items()}
    if published:
        known = found.get("published")
        row["published"] = f"{known['accuracy']:g}" if known else "–"
    tested = done and "test" in found["metrics"]
    row |= _beside_test(found) if tested else dict.fromkeys(_BESIDE, "–")
    row["parameters"] = f"{found['student']['parameters']:,}" if done else "–"
    return row | {title: shown(found.get("metrics", {}), column) for title, column in own.items()}


def _none(found: Mapping[str, Any]) -> dict[str, str]:
    return {"validation": status_of(found), "test": "–", "gain": "–"}


def _figures(found: Mapping[str, Any]) -> dict[str, str]:
    """By the metric that the job is judged by."""
    column, value = ("test", judged_by(found)), on_validation(found)
    return {
        "validation": "no rows" if value is None else f"{100 * value:.2f}",
        "test": shown(found["metrics"], column) if "test" in found["metrics"] else "no rows",
        "gain": "chance" if both_at_chance(found) else _signed(gained(found, column)),
    }


_BESIDE = ("at chance", "95% of the test", "gain (validation)", "teachers", "no teacher")


def _beside_test(found: Mapping[str, Any]) -> dict[str, str]:
    """What there is less room for; an interval has the headline alone."""
    test, metric, baseline = found["metrics"]["test"], judged_by(found), found["baseline"]
    column, interval = ("test", metric), f"{100 * test['low']:.1f}–{100 * test['high']:.1f}"
    cells = (
        _at_chance(found),
        interval if metric == headline(found) else "–",
        "–" if both_at_chance(found) else _signed(gained(found, ("validation", metric))),
        _of_teachers(found, column),
        shown(baseline["metrics"], column) if baseline else "–",
    )
    return dict(zip(_BESIDE, cells, strict=True))


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
    """Means and intervals over seeds, for settings that were run with more than one.

    The best setting on validation comes first and is marked.
    """
    groups = _settings(jobs)
    if all(len(found) < 2 for found in groups.values()):
        return []
    done = [one for found in groups.values() for one in found]
    metric, own, lead = _judged_by(jobs), _beside(done), gain_or_difference(done)
    order = sorted(groups, key=lambda asked: -(_mean_on_validation(groups[asked]) or 0.0))
    rows = [_seed_row(asked, groups[asked], metric, own, lead) for asked in order]
    if metric is not None and len(rows) > 1 and _mean_on_validation(groups[order[0]]) is not None:
        rows[0]["mean validation"] = f"{BEST} {rows[0]['mean validation']}"
    if all(row["at chance"] == "–" for row in rows):
        rows = [{title: row[title] for title in row if title != "at chance"} for row in rows]
    return rows


def seed_lines(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """What the table over seeds does not say by itself."""
    lines = []
    marked = [row for row in rows if row["mean validation"].startswith(BEST)]
    if marked:
        row = marked[0]
        value = row["mean validation"].removeprefix(f"{BEST} ")
        over = f"{value} over {row['seeds']} seeds"
        equal = [one["job"] for one in rows if one["mean validation"] == value]
        as_high = f"; as high: {', '.join(equal)}" if equal else ""
        lines.append(f"{BEST} Best setting by mean validation: {row['job']}, {over}{as_high}")
    if any(_EQUAL in row.values() for row in rows):
        lines.append(f"{_EQUAL}: every seed gave the same figure, so no interval can be told.")
    return lines


def _settings(jobs: Sequence[Job]) -> dict[str, list[Mapping[str, Any]]]:
    """Results on test by what was typed but the seed; a run that was typed twice counts once."""
    common = set(shared(jobs))
    groups: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for name, found in jobs:
        if finished(found) and "test" in found["metrics"]:
            differs = [item for item in found["overrides"] if item not in common]
            asked = [item for item in differs if not item.startswith("seed=")]
            groups[" ".join(asked)].setdefault(found.get("key", name), found)
    return {asked: list(found.values()) for asked, found in groups.items()}


def _mean_on_validation(found: Sequence[Mapping[str, Any]]) -> float | None:
    known = [value for value in map(on_validation, found) if value is not None]
    return sum(known) / len(known) if known else None


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
    on_rows = _mean_on_validation(found)
    row = {"job": asked or "all seeds"}
    if metric is None:
        row["metric"] = judged_by(found[0])
    return {
        **row,
        "seeds": str(len(found)),
        "mean validation": "–" if on_rows is None else f"{100 * on_rows:.2f}",
        f"mean {_title(metric)}": f"{sum(figures) / len(figures):.2f}",
        f"mean {lead}": _signed(sum(gains) / len(gains) if gains else None),
        "at chance": f"{chance} of {len(found)}" if chance else "–",
        f"95% of the {lead}": _reach(gains),
        "95% of the test": _reach(figures),
        **{f"mean {title}": _mean(found, column) for title, column in own.items()},
    }


def _mean(found: Sequence[Mapping[str, Any]], column: Column) -> str:
    figures = [figure(one["metrics"], column) for one in found]
    known = [value for value in figures if value is not None]
    return f"{sum(known) / len(known):.2f}" if len(known) == len(found) else "–"


def _signed(points: float | None) -> str:
    return "–" if points is None else f"{points:+.2f}"


def _reach(values: Sequence[float]) -> str:
    if len(values) > 1 and max(values) - min(values) < 1e-9:
        return _EQUAL
    interval = mean_interval(values)
    return f"{interval.low:.2f}..{interval.high:.2f}" if interval else "–"
