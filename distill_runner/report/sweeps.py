"""Rows of a sweep's table, from the results of its jobs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from distill_runner.intervals import mean_interval

Job = tuple[str, Mapping[str, Any]]  # name of the job's folder, its result


def job_rows(jobs: Sequence[Job]) -> list[dict[str, str]]:
    """One row a job: what was asked for, and what it gave."""
    published = any(found.get("published") for _, found in jobs)
    return [_row(name, found, published=published) for name, found in jobs]


def _row(name: str, found: Mapping[str, Any], *, published: bool) -> dict[str, str]:
    asked = " ".join(found["overrides"])
    row = {"job": f"{name}: {asked}"}
    if found["status"] != "finished":
        blank = {"accuracy": found["status"], "95%": "–", "no teacher": "–", "gain": "–"}
        more = {"published": "–"} if published else {}
        return row | blank | {"parameters": "–"} | more
    test = found["metrics"]["test"]
    baseline = found["baseline"]
    row |= {
        "accuracy": f"{100 * test['accuracy']:.2f}",
        "95%": f"{100 * test['low']:.1f}–{100 * test['high']:.1f}",
        "no teacher": f"{100 * baseline['metrics']['test']['accuracy']:.2f}" if baseline else "–",
        "gain": f"{100 * baseline['gain']['test']['accuracy']:+.2f}" if baseline else "–",
        "parameters": f"{found['student']['parameters']:,}",
    }
    if published:
        row["published"] = _published(found)
    return row


def _published(found: Mapping[str, Any]) -> str:
    """The source's figure; only where the models and the data are the source's own."""
    known = found.get("published")
    if not known:
        return "–"
    return f"{known['accuracy']:g} ({known['source']}, n={known['rows']})"


def seed_rows(jobs: Sequence[Job]) -> list[dict[str, str]]:
    """Mean and interval over seeds, for settings that were run with more than one."""
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for _, found in jobs:
        if found["status"] == "finished":
            asked = [item for item in found["overrides"] if not item.startswith("seed=")]
            groups[" ".join(asked)].append(found)
    if all(len(found) < 2 for found in groups.values()):
        return []
    return [_seed_row(asked, found) for asked, found in groups.items()]


def _seed_row(asked: str, found: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    accuracies = [100 * one["metrics"]["test"]["accuracy"] for one in found]
    gains = [100 * one["baseline"]["gain"]["test"]["accuracy"] for one in found if one["baseline"]]
    return {
        "job": asked or "(defaults)",
        "seeds": str(len(found)),
        "mean": f"{sum(accuracies) / len(accuracies):.2f}",
        "95% of the mean": _reach(accuracies),
        "mean gain": f"{sum(gains) / len(gains):+.2f}" if gains else "–",
        "95% of the gain": _reach(gains),
    }


def _reach(values: Sequence[float]) -> str:
    interval = mean_interval(values)
    return f"{interval.low:.2f}..{interval.high:.2f}" if interval else "–"
