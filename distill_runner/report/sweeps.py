"""Rows of a sweep's table, from the results of its jobs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from distill_runner.intervals import mean_interval
from distill_runner.report.columns import Column, columns_of, figure, headline, shown

Job = tuple[str, Mapping[str, Any]]  # name of the job's folder, its result


def shared(jobs: Sequence[Job]) -> list[str]:
    """What was typed for every one of the jobs alike."""
    first = jobs[0][1]["overrides"]
    return [item for item in first if all(item in found["overrides"] for _, found in jobs)]


def job_rows(jobs: Sequence[Job]) -> list[dict[str, str]]:
    """One row a job: what it differs in, and what it gave on the test rows, in %."""
    common = set(shared(jobs))
    published = any(found.get("published") for _, found in jobs)
    own = columns_of([found for _, found in jobs if found["status"] == "finished"])
    return [_row(name, found, common, own, published=published) for name, found in jobs]


def _row(
    name: str,
    found: Mapping[str, Any],
    common: set[str],
    own: Mapping[str, Column],
    *,
    published: bool,
) -> dict[str, str]:
    asked = " ".join(item for item in found["overrides"] if item not in common)
    row = {"job": f"{name}: {asked.removeprefix('experiment=') or found['method']}"}
    if found["status"] != "finished":
        figures = {"test": found["status"], "95%": "–", "no teacher": "–", "gain": "–"}
        size = "–"
    else:
        figures, size = _figures(found), f"{found['student']['parameters']:,}"
    row |= figures
    row |= {title: shown(found.get("metrics", {}), column) for title, column in own.items()}
    row["parameters"] = size
    if published:
        known = found.get("published")
        row["published"] = f"{known['accuracy']:g}" if known else "–"
    return row


def _figures(found: Mapping[str, Any]) -> dict[str, str]:
    test, baseline, name = found["metrics"].get("test"), found["baseline"], headline(found)
    if test is None:
        return {"test": "no rows", "95%": "–", "no teacher": "–", "gain": "–"}
    return {
        "test": f"{100 * test[name]:.2f}",
        "95%": f"{100 * test['low']:.1f}–{100 * test['high']:.1f}",
        "no teacher": f"{100 * baseline['metrics']['test'][name]:.2f}" if baseline else "–",
        "gain": f"{100 * baseline['gain']['test'][name]:+.2f}" if baseline else "–",
    }


def sources(jobs: Sequence[Job]) -> list[str]:
    """Where the published figures come from, one line a source."""
    known = [found["published"] for _, found in jobs if found.get("published")]
    lines = {f"published: {one['source']}, {one['rows']:,} test rows" for one in known}
    return sorted(lines)


def seed_rows(jobs: Sequence[Job]) -> list[dict[str, str]]:
    """Mean and interval over seeds, for settings that were run with more than one."""
    common = set(shared(jobs))
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for _, found in jobs:
        if found["status"] == "finished" and "test" in found["metrics"]:
            own = [item for item in found["overrides"] if item not in common]
            asked = [item for item in own if not item.startswith("seed=")]
            groups[" ".join(asked)].append(found)
    if all(len(found) < 2 for found in groups.values()):
        return []
    columns = columns_of([one for found in groups.values() for one in found])
    return [_seed_row(asked, found, columns) for asked, found in groups.items()]


def _seed_row(
    asked: str, found: Sequence[Mapping[str, Any]], own: Mapping[str, Column]
) -> dict[str, str]:
    figures = [100 * one["metrics"]["test"][headline(one)] for one in found]
    gains = [
        100 * one["baseline"]["gain"]["test"][headline(one)] for one in found if one["baseline"]
    ]
    return {
        "job": asked or "all seeds",
        "seeds": str(len(found)),
        "mean": f"{sum(figures) / len(figures):.2f}",
        "95% of the mean": _reach(figures),
        "mean gain": f"{sum(gains) / len(gains):+.2f}" if gains else "–",
        "95% of the gain": _reach(gains),
        **{f"mean {title}": _mean(found, column) for title, column in own.items()},
    }


def _mean(found: Sequence[Mapping[str, Any]], column: Column) -> str:
    figures = [figure(one["metrics"], column) for one in found]
    known = [value for value in figures if value is not None]
    return f"{sum(known) / len(known):.2f}" if len(known) == len(found) else "–"


def _reach(values: Sequence[float]) -> str:
    interval = mean_interval(values)
    return f"{interval.low:.2f}..{interval.high:.2f}" if interval else "–"
