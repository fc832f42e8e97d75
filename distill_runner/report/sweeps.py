"""Rows of a sweep's table, from the results of its jobs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from distill_runner.intervals import mean_interval
from distill_runner.report.columns import (
    Column,
    columns_of,
    figure,
    gained,
    headline,
    main_columns,
    shown,
)

Job = tuple[str, Mapping[str, Any]]  # name of the job's folder, its result


def shared(jobs: Sequence[Job]) -> list[str]:
    """What was typed for every one of the jobs alike."""
    first = jobs[0][1]["overrides"]
    return [item for item in first if all(item in found["overrides"] for _, found in jobs)]


def job_rows(jobs: Sequence[Job]) -> list[dict[str, str]]:
    """One row a job: what it differs in, and what it gave on the test rows, in %."""
    common = set(shared(jobs))
    published = any(found.get("published") for _, found in jobs)
    done = [found for _, found in jobs if found["status"] == "finished"]
    own, main = columns_of(done), main_columns(done)
    return [_row(name, found, common, own, main, published=published) for name, found in jobs]


def _row(
    name: str,
    found: Mapping[str, Any],
    common: set[str],
    own: Mapping[str, Column],
    main: Mapping[str, Column],
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
    row |= {f"{title} gain": _signed(gained(found, column)) for title, column in main.items()}
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
            differs = [item for item in found["overrides"] if item not in common]
            asked = [item for item in differs if not item.startswith("seed=")]
            groups[" ".join(asked)].append(found)
    if all(len(found) < 2 for found in groups.values()):
        return []
    done = [one for found in groups.values() for one in found]
    own, main = columns_of(done), main_columns(done)
    return [_seed_row(asked, found, own, main) for asked, found in groups.items()]


def _seed_row(
    asked: str,
    found: Sequence[Mapping[str, Any]],
    own: Mapping[str, Column],
    main: Mapping[str, Column],
) -> dict[str, str]:
    figures = [100 * one["metrics"]["test"][headline(one)] for one in found]
    gains = [
        100 * one["baseline"]["gain"]["test"][headline(one)] for one in found if one["baseline"]
    ]
    row = {
        "job": asked or "all seeds",
        "seeds": str(len(found)),
        "mean": f"{sum(figures) / len(figures):.2f}",
        "95% of the mean": _reach(figures),
        "mean gain": _signed(sum(gains) / len(gains) if gains else None),
        "95% of the gain": _reach(gains),
        **{f"mean {title}": _mean(found, column) for title, column in own.items()},
    }
    for title, column in main.items():
        leads = [lead for one in found if (lead := gained(one, column)) is not None]
        row[f"{title} gain"] = _signed(sum(leads) / len(leads) if leads else None)
        row[f"95% of the {title} gain"] = _reach(leads)
    return row


def _mean(found: Sequence[Mapping[str, Any]], column: Column) -> str:
    figures = [figure(one["metrics"], column) for one in found]
    known = [value for value in figures if value is not None]
    return f"{sum(known) / len(known):.2f}" if len(known) == len(found) else "–"


def _signed(points: float | None) -> str:
    return "–" if points is None else f"{points:+.2f}"


def _reach(values: Sequence[float]) -> str:
    interval = mean_interval(values)
    return f"{interval.low:.2f}..{interval.high:.2f}" if interval else "–"
