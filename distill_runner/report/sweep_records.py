"""Makes the rows of sweep.csv and sweep.json: one per job, the same columns for all."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from distill_runner.command_line.overrides import typed_values
from distill_runner.report.causes import cause_of, status_of
from distill_runner.report.choosing import best_results, sorted_jobs
from distill_runner.report.columns import deciding_metric
from distill_runner.report.summary import tracker_summary
from distill_runner.results.files import Job

Record = dict[str, object]  # by column; None: the job has no such figure


def sweep_records(jobs: Sequence[Job], folder: Path) -> list[Record]:
    """Return one row per job, the best first; every row has all columns.

    Args:
        jobs: of the sweep.
        folder: the sweep's folder.
    """
    best = best_results(jobs)
    typed = {job.name: typed_values(job.overrides) for job in jobs}
    differing = _differing_first(list(typed.values()))
    rows = [
        {
            "job": int(job.name) if job.name.isdigit() else job.name,
            "status": status_of(job),
            "cause": cause_of(job),
            "best": job.name in best,
            **{key: typed[job.name].get(key) for key in differing},
            **_figures(job, folder / job.name),
        }
        for job in sorted_jobs(jobs)
    ]
    columns = dict.fromkeys(column for row in rows for column in row)
    return [{column: row.get(column) for column in columns} for row in rows]


def write_csv(path: Path, rows: Sequence[Record]) -> None:
    """Write the rows below a heading; None becomes an empty cell."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _differing_first(typed: Sequence[Mapping[str, object]]) -> list[str]:
    keys = dict.fromkeys(key for one in typed for key in one)
    alike = {key for key in keys if all(key in one and one[key] == typed[0][key] for one in typed)}
    return [key for key in keys if key not in alike] + [key for key in keys if key in alike]


def _figures(job: Job, folder: Path) -> Record:
    if job.result is None:
        return {"seconds": job.attempt.seconds, "run_folder": str(folder.absolute())}
    summary = tracker_summary(job.result, seconds=job.attempt.seconds, folder=folder)
    del summary["status"]
    return {
        "metric": deciding_metric(job.result),
        **summary,
        "student_folder": str(folder.absolute() / "student"),
    }
