"""A sweep's jobs as facts: the rows of sweep.csv and sweep.json."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from distill_runner.command_line.overrides import typed_values
from distill_runner.report.causes import cause_of, status_of
from distill_runner.report.choosing import Job, best, finished, ordered
from distill_runner.report.columns import judged_by
from distill_runner.report.summary import tracker_summary

Record = dict[str, Any]  # by column; None: the job has no such thing


def sweep_records(jobs: Sequence[Job], folder: Path) -> list[Record]:
    """One row a job, the best first; every row has all columns.

    Args:
        folder: of the sweep.
    """
    chosen = {name for name, _ in best(jobs)}
    typed = {name: typed_values(found["overrides"]) for name, found in jobs}
    differing = _differing_first(list(typed.values()))
    rows = [
        {
            "job": int(name) if name.isdigit() else name,
            "status": status_of(found),
            "cause": cause_of(found),
            "best": name in chosen,
            **{key: typed[name].get(key) for key in differing},
            **_figures(found, folder / name),
        }
        for name, found in ordered(jobs)
    ]
    columns = dict.fromkeys(column for row in rows for column in row)
    return [{column: row.get(column) for column in columns} for row in rows]


def write_csv(path: Path, rows: Sequence[Record]) -> None:
    """Write the rows with a heading; nothing stands for None."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _differing_first(typed: Sequence[Mapping[str, Any]]) -> list[str]:
    keys = dict.fromkeys(key for one in typed for key in one)
    alike = {key for key in keys if all(key in one and one[key] == typed[0][key] for one in typed)}
    return [key for key in keys if key not in alike] + [key for key in keys if key in alike]


def _figures(found: Mapping[str, Any], folder: Path) -> Record:
    if not finished(found):
        return {"seconds": found.get("seconds"), "run_folder": str(folder.absolute())}
    summary = tracker_summary(found, seconds=found.get("seconds"), folder=folder)
    del summary["status"]
    return {
        "metric": judged_by(found),
        **summary,
        "student_folder": str(folder.absolute() / "student"),
    }
