"""Starts and ends a sweep: checks its folder, and writes one table of all its jobs."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, flag_override, open_dict, read_write

from distill_runner.config.sweep_composition import compose_jobs_once
from distill_runner.console.printable import wrap_lines
from distill_runner.errors import DistillError, Refused
from distill_runner.jobs.output_folder import check_store_apart, check_sweep, mark_sweep
from distill_runner.results.files import ATTEMPT, FILES, Job, read_job
from distill_runner.storage.disk import explain_os_error

if TYPE_CHECKING:
    from rich.console import Console


_FILE_WIDTH = 160  # characters, unless a table is wider

Part = tuple[str, list[dict[str, str]], list[str]]  # a table's title, its rows, lines below it


class SweepTable(Callback):  # type: ignore[misc]
    """A Hydra callback, called when a sweep begins and ends."""

    # Hydra swallows what a callback raises, so `commands.launch` reads the verdict and raises it.
    verdict: DistillError | None = None

    _began = 0.0  # by the file system's clock; older results belong to an earlier sweep
    _scratch: TemporaryDirectory[str] | None = None  # for a dry run, which leaves no folder
    _config: DictConfig | None = None  # of the sweep in progress

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Record the time; refuse a folder with foreign files before anything is written."""
        SweepTable._began, SweepTable._config = 0.0, config
        compose_jobs_once()
        folder = Path(config.hydra.sweep.dir)
        try:
            _set_up_optuna(config)
            check_store_apart(Path(config.store.dir), folder)
            check_sweep(folder)
            if config.dry_run:
                SweepTable._scratch = TemporaryDirectory()
                _sweep_into(config, SweepTable._scratch.name)
            else:
                mark_sweep(folder)
                SweepTable._began = (folder / FILES).stat().st_mtime
        except OSError as error:
            SweepTable.verdict = explain_os_error(
                error, {"output_dir": folder, "store.dir": Path(config.store.dir)}
            )
        except DistillError as error:
            SweepTable.verdict = error
        if SweepTable.verdict is not None:
            # Hydra lets no other exception of a callback through.
            raise SystemExit(SweepTable.verdict.exit_status)

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Print and write the table of all jobs."""
        SweepTable._config = None
        try:
            SweepTable.verdict = _end(config, SweepTable._began)
        except Exception as error:
            SweepTable.verdict = DistillError(
                f"The sweep's table could not be made ({type(error).__name__}: {error}). "
                "The jobs' own results are kept."
            )
        if SweepTable._scratch is not None:
            SweepTable._scratch.cleanup()

    @classmethod
    def report_broken_sweep(cls, error: Exception) -> bool:
        """Report a sweep that ended by an error of the sweeper; False if no sweep has begun."""
        config, cls._config = cls._config, None
        if config is None:
            return False
        jobs, reason = _jobs(config, cls._began), f"{type(error).__name__}: {error}"
        if not jobs:
            cls.verdict = Refused(f"The sweep could not begin ({reason}).")
            return True
        cls.verdict = _finish(config, jobs)
        # If no job finished, Optuna fails for want of a best trial, which adds nothing to report.
        if any(job.result is not None for job in jobs):
            unfinished = f"{cls.verdict}\n" if cls.verdict else ""
            cls.verdict = DistillError(f"{unfinished}The sweep ended early ({reason}).")
        return True


def _sweep_into(config: DictConfig, folder: str) -> None:
    """Make Hydra put the jobs' folders into `folder`, whatever was typed."""
    with read_write(config), open_dict(config):
        config.hydra.sweep.dir = folder
        # Each job is composed again, with these overrides.
        config.hydra.overrides.hydra.append(f"hydra.sweep.dir='{folder}'")


def _set_up_optuna(config: DictConfig) -> None:
    """Make Optuna maximise, and silence its log, which repeats the sweep's table."""
    sweeper = config.hydra.sweeper
    if "direction" not in sweeper:
        return
    with flag_override(sweeper, "readonly", False):
        sweeper.direction = "maximize"
        # The search continues after a failed job, which has a row in the table.
        sweeper.max_failure_rate = 1.0
    if config.dataset.split.validation == 0:
        raise Refused(
            "Optuna chooses by the validation score, and there are no validation rows.",
            key="dataset.split.validation",
            value=0,
            rule="a number of rows above zero",
        )
    import optuna

    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    logging.getLogger("hydra_plugins.hydra_optuna_sweeper").setLevel(logging.CRITICAL)


def _end(config: DictConfig, began: float) -> DistillError | None:
    jobs = _jobs(config, began)
    if jobs:
        return _finish(config, jobs)
    return Refused(
        "No job was launched.",
        key="-m",
        value=" ".join(str(item) for item in config.hydra.overrides.task),
        rule="a glob must match at least one option",
        way_out="distill-run --help lists the options of every group",
    )


def _jobs(config: DictConfig, began: float) -> list[Job]:
    """Read the jobs of this sweep in order, finished or not."""
    found = sorted(Path(config.hydra.sweep.dir).glob(f"*/{ATTEMPT}"), key=_job_number)
    paths = [path for path in found if path.stat().st_mtime >= began]
    return [read_job(path.parent) for path in paths]


def _finish(config: DictConfig, jobs: Sequence[Job]) -> DistillError | None:
    shown = not config.dry_run
    if shown:
        _show(Path(config.hydra.sweep.dir), jobs)
    return _verdict(jobs, shown=shown)


def _job_number(path: Path) -> tuple[int, str]:
    name = path.parent.name
    return (int(name), name) if name.isdigit() else (1 << 30, name)


def _verdict(jobs: Sequence[Job], *, shown: bool) -> DistillError | None:
    """Return an error if jobs did not finish, with the causes unless a table has shown them."""
    from distill_runner.report.causes import cause_lines, count_line, unfinished

    bad = unfinished(jobs)
    if not bad:
        return None
    kind = Refused if all(job.attempt.status == "refused" for job in bad) else DistillError
    causes = [] if shown else [f"  {line}" for line in cause_lines(jobs)]
    return kind("\n".join([count_line(jobs), *causes]))


def _show(folder: Path, jobs: Sequence[Job]) -> None:
    from rich.console import Console

    from distill_runner.console.screen import terminal
    from distill_runner.report.seed_table import seed_lines, seed_rows
    from distill_runner.report.sweep_records import sweep_records, write_csv
    from distill_runner.report.sweeps import job_rows, shared_overrides
    from distill_runner.report.tables import sweep_table, table_width

    rows, grouped = job_rows(jobs), seed_rows(jobs)
    parts = [(f"{len(rows)} jobs: {' '.join(shared_overrides(jobs))}", rows, _below(folder, jobs))]
    if grouped:
        title = "Over seeds, with Student's interval of the mean"
        parts.append((title, grouped, seed_lines(grouped)))
    widest = max(table_width(sweep_table("", part)) for _, part, _ in parts)
    with (folder / "sweep.txt").open("w", encoding="utf-8") as file:
        _print(Console(file=file, width=max(_FILE_WIDTH, widest)), parts)
    records = sweep_records(jobs, folder)
    (folder / "sweep.json").write_text(json.dumps(records, indent=2) + "\n", encoding="utf-8")
    write_csv(folder / "sweep.csv", records)
    screen = terminal()
    left_out = _print(screen, parts)
    without = f"; only there: {', '.join(left_out)}" if left_out else ""
    written = f"Written to {folder}/sweep.txt, sweep.csv and sweep.json{without}"
    fitted = wrap_lines(written, screen.width) if screen.is_terminal else written
    screen.print(fitted, markup=False, soft_wrap=True)


def _below(folder: Path, jobs: Sequence[Job]) -> list[str]:
    """Return the lines below the table: causes, best jobs with their students, sources."""
    from distill_runner.report.causes import cause_lines
    from distill_runner.report.choosing import best_results, choice_lines
    from distill_runner.report.sweeps import differing_overrides, sources

    students = [f"Its student: {folder / name / 'student'}" for name in best_results(jobs)]
    chosen = choice_lines(jobs, differing_overrides(jobs))
    paired = [line for pair in zip(chosen, students, strict=False) for line in pair]
    return [*cause_lines(jobs), *paired, *chosen[len(students) :], *sources(jobs)]


def _print(console: Console, parts: Sequence[Part]) -> list[str]:
    """Print the tables with as many columns as fit; return the titles of the others."""
    from distill_runner.console.screen import escape_renderable
    from distill_runner.report.tables import fit_width, sweep_table

    left_out: dict[str, None] = {}
    for title, rows, lines in parts:
        shown, out = fit_width(rows, console.width)
        console.print(escape_renderable(sweep_table(title, shown)))
        left_out |= dict.fromkeys(out)
        for line in lines:
            console.print(escape_renderable(line), markup=False)
    return list(left_out)
