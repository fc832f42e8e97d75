"""What a job prints before it begins and when it is done."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill_runner.plan import TASK, Plan
from distill_runner.reading import formula_on
from distill_runner.report.at_chance import warnings
from distill_runner.report.columns import judged_by, learnt_from, notes, shown
from distill_runner.report.latency import latency_line, latency_table
from distill_runner.report.planned import classes_line, plan_notes, plan_rows, same_starts
from distill_runner.report.robustness import robustness_table
from distill_runner.report.tables import gain_line, plan_table, result_table
from distill_runner.schema import Config, Select
from distill_runner.screen import Screen

if TYPE_CHECKING:
    from distill_runner.data.prepared import Prepared


def show_plan(
    screen: Screen,
    plan: Plan,
    config: Config,
    data: Mapping[str, Prepared] | None,
    *,
    sweeping: bool,
) -> None:
    """Print the plan; in a sweep, whose jobs differ in little, write it to the log alone.

    Args:
        data: the data sets by name; None where they have not been read.
    """
    counts = {name: prepared.counts for name, prepared in (data or {}).items()}
    show = screen.note if sweeping and not config.dry_run else screen.print
    show(plan_table(plan_rows(plan, config, counts or None)))
    show(
        "k passes: thousands of rows through a model, a backward counting two; "
        "s = learner, t = each teacher"
    )
    for note in plan_notes(plan, config, counts or None):
        show(note)
    for name, rows in counts.items():
        of = "rows" if name == TASK else f"{name} rows"
        show(f"{of}: " + ", ".join(f"{k} {v:,}" for k, v in rows.items() if v))
    for name, prepared in (data or {}).items():
        show(classes_line(prepared.label_names, of="" if name == TASK else f" of {name}"))
    if config.training.select is Select.best_validation:
        show("kept: the epoch that is best on validation, which is then no longer a result")
    for stage in plan.stages:
        if stage.body and stage.algorithm.needs.language:
            show(f"loss of {stage.name}: {stage.algorithm.formula()}")
    for warning in same_starts(plan):
        screen.print(warning)
    # What is deployed is always trained on the task's rows in the end.
    show(f"loss: {formula_on(config.dataset, plan.stage(plan.deployed).algorithm)}")


def show_result(
    screen: Screen,
    result: Mapping[str, Any],
    *,
    folder: Path,
    sweeping: bool,
    note: str | None,
) -> None:
    """Print the result's tables, what to know of them, and where everything lies.

    Args:
        folder: of the run.
        note: the tracker's line.
    """
    (screen.note if sweeping else screen.print)(result_table(result))
    line = gain_line(result)
    told_of_gain = [line] if line else []
    for told in (*warnings(result), *told_of_gain, *notes(result), *_stopped(result)):
        screen.print(told)
    measured = (robustness_table(result), latency_table(result), latency_line(result))
    for part in measured:
        if part:
            screen.print(part)
    if result["published"]:
        screen.print(_published(result))
    _show_folder(screen, result, folder, sweeping=sweeping)
    if note:
        screen.print(note)


def _published(result: Mapping[str, Any]) -> str:
    published, learnt = result["published"], learnt_from(result)
    return (
        f"Published: {published['accuracy']:g} on {published['rows']:,} "
        f"{published['split']} rows of {published['dataset']} ({published['source']}); "
        f"other rows and other training than ours{f'; {learnt}' if learnt else ''}."
    )


def _show_folder(
    screen: Screen, result: Mapping[str, Any], folder: Path, *, sweeping: bool
) -> None:
    inside = folder.is_relative_to(Path.cwd())
    shortest = folder.relative_to(Path.cwd()) if inside else folder
    screen.print(f"Run folder: {shortest}")
    if not sweeping:
        screen.print(
            "Load it: AutoModelForSequenceClassification.from_pretrained"
            f'("{shortest}/student{"/…" if result["student"]["members"] else ""}")'
        )


def _stopped(result: Mapping[str, Any]) -> list[str]:
    stopped = result["stopped"]
    if not stopped:
        return []
    scores = ", ".join(
        f"{name} {shown({'validation': found}, ('validation', judged_by(result)))}"
        for name, found in stopped["validation"].items()
    )
    return [f"Kept by validation: {stopped['kept']} ({scores}); validation is no result here."]
