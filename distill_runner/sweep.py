"""The end of a multirun: one table of all its jobs, beside `multirun.yaml`."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from distill_runner.disk import of_the_system
from distill_runner.errors import DistillError, Refused
from distill_runner.output_folder import ATTEMPT, check_store_apart, check_sweep

if TYPE_CHECKING:
    from rich.console import Console

_FILE_WIDTH = 160  # characters, where no table is wider

Parts = dict[str, list[dict[str, str]]]  # rows of tables, by their titles


class SweepTable(Callback):  # type: ignore[misc]
    """Hydra tells it when a multirun begins and ends."""

    # Hydra swallows what a callback raises, so the verdict is kept for `cli.main` to raise.
    verdict: DistillError | None = None

    _began = 0.0  # results older than the sweep are another sweep's

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Note the time, and stop before anything is written into a folder that is not ours."""
        SweepTable._began = time.time()
        folder = Path(config.hydra.sweep.dir)
        try:
            check_store_apart(Path(config.store.dir), folder)
            check_sweep(folder)
        except OSError as error:
            SweepTable.verdict = of_the_system(
                error, {"output_dir": folder, "store.dir": Path(config.store.dir)}
            )
        except DistillError as error:
            SweepTable.verdict = error
        if SweepTable.verdict is not None:
            # The one thing raised here that Hydra lets through.
            raise SystemExit(SweepTable.verdict.exit_status)

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
    found = sorted(folder.glob(f"*/{ATTEMPT}"), key=_job_number)
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
    results = [(path.parent.name, _result(path)) for path in paths]
    if not config.dry_run:
        _show(folder, results)
    return _verdict(results)


def _result(path: Path) -> dict[str, Any]:
    """The job's result; of one that did not finish, what became of it."""
    attempt: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if attempt["status"] != "finished":
        return attempt
    result: dict[str, Any] = json.loads((path.parent / "result.json").read_text(encoding="utf-8"))
    return result


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
    from distill_runner.report.tables import sweep_table, width_of
    from distill_runner.screen import terminal

    rows = job_rows(results)
    parts = {f"{len(rows)} jobs: {' '.join(shared(results))}": rows}
    if grouped := seed_rows(results):
        parts["Over seeds, with Student's interval of the mean"] = grouped
    widest = max(width_of(sweep_table("", part)) for part in parts.values())
    with (folder / "sweep.txt").open("w", encoding="utf-8") as file:
        whole = Console(file=file, width=max(_FILE_WIDTH, widest))
        _print(whole, parts, sources(results))
    (folder / "sweep.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    left_out = _print(terminal(), parts, sources(results))
    without = f"; only there: {', '.join(left_out)}" if left_out else ""
    written = f"Written to {folder}/sweep.txt and sweep.json{without}"
    terminal().print(written, markup=False, soft_wrap=True)


def _print(console: Console, parts: Parts, lines: Sequence[str]) -> list[str]:
    """Print the tables with the columns that there is room for; the titles of the others."""
    from distill_runner.report.tables import in_width, sweep_table
    from distill_runner.screen import harmless

    left_out: dict[str, None] = {}
    for title, rows in parts.items():
        shown, out = in_width(rows, console.width)
        console.print(harmless(sweep_table(title, shown)))
        left_out |= dict.fromkeys(out)
    for line in lines:
        console.print(harmless(line), markup=False)
    return list(left_out)
