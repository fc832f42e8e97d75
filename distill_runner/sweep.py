"""The end of a multirun: one table of all its jobs, beside `multirun.yaml`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from distill_runner.errors import DistillError, Refused


class SweepTable(Callback):  # type: ignore[misc]
    """Hydra tells it when a multirun begins and ends."""

    # Hydra swallows what a callback raises, so the verdict is kept for `cli.main` to raise.
    verdict: DistillError | None = None

    _began = 0.0  # results older than the sweep are another sweep's

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:  # noqa: ARG002
        """Note the time."""
        SweepTable._began = time.time()

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Print and write the table of the jobs."""
        try:
            SweepTable.verdict = _end(config, SweepTable._began)
        except Exception as error:
            SweepTable.verdict = DistillError(
                f"The sweep's table could not be made ({type(error).__name__}: {error}). "
                "The jobs' own results are kept."
            )


def _end(config: DictConfig, began: float) -> DistillError | None:
    folder = Path(config.hydra.sweep.dir)
    found = sorted(folder.glob("*/result.json"), key=_job_number)
    # A file system may round the time down.
    paths = [path for path in found if path.stat().st_mtime >= began - 2]
    if not paths:
        given = [str(item) for item in config.hydra.overrides.task]
        return Refused(
            "No job was launched.",
            key="-m",
            value=" ".join(given),
            rule="a glob must match at least one option",
            way_out="distill-run --help lists the options of every group",
        )
    results = [(path.parent.name, json.loads(path.read_text())) for path in paths]
    if not config.dry_run:
        _show(folder, results)
    return _verdict(results)


def _job_number(path: Path) -> tuple[int, str]:
    name = path.parent.name
    return (int(name), name) if name.isdigit() else (1 << 30, name)


def _verdict(results: list[tuple[str, dict[str, Any]]]) -> DistillError | None:
    bad = [
        (name, found) for name, found in results if found["status"] not in ("finished", "planned")
    ]
    if not bad:
        return None
    kind = Refused if all(found["status"] == "refused" for _, found in bad) else DistillError
    names = ", ".join(name for name, _ in bad)
    return kind(f"{len(bad)} of {len(results)} jobs did not finish: {names}. The others are kept.")


def _show(folder: Path, results: list[tuple[str, dict[str, Any]]]) -> None:
    from rich.console import Console

    from distill_runner.report.sweeps import job_rows, seed_rows, shared, sources
    from distill_runner.report.tables import sweep_table
    from distill_runner.screen import terminal

    rows, common = job_rows(results), " ".join(shared(results))
    tables = [sweep_table(f"{len(rows)} jobs: {common}", rows)]
    grouped = seed_rows(results)
    if grouped:
        tables.append(sweep_table("Over seeds, with Student's interval of the mean", grouped))
    with (folder / "sweep.txt").open("w", encoding="utf-8") as file:
        for console in (terminal(), Console(file=file, width=160)):
            for table in tables:
                console.print(table)
            for line in sources(results):
                console.print(line, markup=False)
    (folder / "sweep.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    terminal().print(f"Written to {folder}/sweep.txt and sweep.json", markup=False)
