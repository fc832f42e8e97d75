"""Prints a job's plan before it begins and its result at the end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from distill_runner.config.schema import Config, Select
from distill_runner.console.names import data_name, format_count, join_names
from distill_runner.console.screen import Screen
from distill_runner.planning.stages import TASK, Plan
from distill_runner.report.at_chance import warnings
from distill_runner.report.calibration import calibration_lines, calibration_table
from distill_runner.report.closing import next_steps, took_line
from distill_runner.report.columns import cell, deciding_metric, notes, published_rows
from distill_runner.report.latency import latency_line, latency_table
from distill_runner.report.planned import (
    classes_line,
    plan_lines,
    plan_notes,
    plan_table,
    same_starts,
)
from distill_runner.report.robustness import robustness_table
from distill_runner.report.tables import gain_line, result_lines, result_table
from distill_runner.report.threshold import threshold_lines
from distill_runner.report.tuning import planned_trials_line, tuning_line
from distill_runner.results.schema import PublishedFigure, RunResult
from distill_runner.runtime.machine import Machine, cores
from distill_runner.tasks.kinds import task_of

if TYPE_CHECKING:
    from distill_runner.data.load import Prepared

_SPLITS = {"train": 0, "quiz": 1, "validation": 2, "test": 3}  # the order of printing


def show_plan(
    screen: Screen,
    plan: Plan,
    config: Config,
    data: Mapping[str, Prepared] | None,
    *,
    sweeping: bool,
    machine: Machine | None = None,
    folder: Path | None = None,
) -> None:
    """Print the plan; in a sweep, whose plans are similar, only write it to the log.

    Args:
        screen: prints to terminal and log.
        plan: the plan.
        config: the whole configuration.
        data: the data sets by name; None if they have not been read.
        sweeping: the run is a job of a sweep.
        machine: where the run trains; None if nothing is trained.
        folder: the run folder; None for a dry run.
    """
    counts = {name: prepared.counts for name, prepared in (data or {}).items()}
    show = screen.note if sweeping and not config.dry_run else screen.print
    show(plan_table(plan, config, counts or None))
    for name, prepared in (data or {}).items():
        show(_rows_line(name, prepared, config))
        show(classes_line(prepared.label_names, of="" if name == TASK else f" of {name}"))
    for line in (*plan_lines(plan, config, counts or None), *_losses(plan, config)):
        show(line)
    for note in plan_notes(plan, config, counts or None):
        show(note)
    if trials := planned_trials_line(plan):
        show(trials)
    if config.training.select is Select.best_validation:
        show("kept: the epoch that is best on validation, which is then no longer a result")
    for warning in same_starts(plan):
        screen.print(warning)
    if machine is not None:
        show(_device_line(machine, config))
    if folder is not None:
        show(f"run folder: {_shortest(folder)}")


def _losses(plan: Plan, config: Config) -> list[str]:
    lines = [
        f"loss of {stage.name}: {stage.formula(task_of(config.dataset))}"
        for stage in plan.stages
        if stage.backbone_of
    ]
    # The loss of the deployed stage comes last.
    return [*lines, f"loss: {plan.stage(plan.deployed).formula(task_of(config.dataset))}"]


def _rows_line(name: str, prepared: Prepared, config: Config) -> str:
    settings = config.dataset if name == TASK else config.pretrain.dataset
    assert settings is not None
    first = "" if name == TASK else f"{name}, "
    counts = sorted(prepared.counts.items(), key=lambda found: _SPLITS.get(found[0], len(_SPLITS)))
    rows = join_names([f"{count:,} {split.replace('_', ' ')}" for split, count in counts if count])
    return f"rows of {first}{data_name(settings)}: {rows}"


def _device_line(machine: Machine, config: Config) -> str:
    if machine.device.type != "cpu":
        return f"device: {machine.name}, {machine.precision}"
    threads = format_count(config.runtime.threads or cores(), "thread")
    return f"device: CPU, {machine.precision}, {threads}"


def show_result(
    screen: Screen,
    result: RunResult,
    *,
    folder: Path,
    sweeping: bool,
    note: str | None,
) -> None:
    """Print the tables, the warnings and notes, the run folder and what to do next.

    Args:
        screen: prints to terminal and log.
        result: of the finished run.
        folder: the run folder.
        sweeping: the run is a job of a sweep, so its tables are only written to the log.
        note: the tracker's last line.
    """
    show = screen.note if sweeping else screen.print
    show("")
    show(result_table(result))
    for line in (*result_lines(result), *filter(None, [tuning_line(result)])):
        show(line)
    gain = gain_line(result)
    gains = [gain] if gain else []
    for line in (*warnings(result), *gains, *notes(result), *_stopped(result)):
        screen.print(line)
    calibration = calibration_table(result)
    if calibration is not None:
        show(calibration)
    for line in (*calibration_lines(result), *threshold_lines(result)):
        show(line)
    measured = (robustness_table(result), latency_table(result), latency_line(result))
    for part in measured:
        if part:
            screen.print(part)
    if result.published:
        screen.print(_published(result.published, published_rows(result)))
    screen.print(f"\n{took_line(result, screen.seconds)}")
    screen.copyable(f"Run folder: {_shortest(folder)}")
    if not sweeping:
        for what, command in next_steps(result, _shortest(folder)):
            screen.print(f"{what}:")
            screen.copyable(f"  {command}")
    if note:
        screen.copyable(note)


def _published(published: PublishedFigure, rows: str | None) -> str:
    return (
        f"Published: {published.accuracy:g} on {published.rows:,} {published.split} rows of "
        f"{published.dataset} ({published.source}); other rows and other training than ours"
        f"{f'; {rows}' if rows else ''}."
    )


def _shortest(folder: Path) -> Path:
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def _stopped(result: RunResult) -> list[str]:
    stopped, metric = result.stopped, deciding_metric(result)
    if stopped is None:
        return []
    scores = ", ".join(
        f"{name} {cell(stopped.validation, (name, metric))}" for name in stopped.validation
    )
    return [f"Kept by validation: {stopped.kept} ({scores}); validation is no result here."]
