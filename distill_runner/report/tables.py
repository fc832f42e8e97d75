"""Tables for the terminal: the plan, the result of a run, the jobs of a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from distill_runner.report.at_chance import both_at_chance, mark
from distill_runner.report.columns import (
    broken_off,
    columns_of,
    gain_or_difference,
    headline,
    shown,
)

_WIDEST = 1000  # characters; no table of ours is as wide


def table_of(title: str, *columns: str) -> Table:
    """An empty table in the house's style; names to the left, figures to the right."""
    table = Table(
        title=escape(title),  # [map,mrr] in what was typed is no markup
        title_justify="left",
        title_style="bold",
        header_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
    )
    for column in columns:
        numeric = column not in ("model", "stage", "learner", "teachers", "job")
        table.add_column(column, justify="right" if numeric else "left", no_wrap=numeric)
    return table


def _percent(found: Mapping[str, Any] | None, name: str) -> str:
    return f"{100 * found[name]:.2f}" if found else "–"


def _with_interval(found: Mapping[str, Any] | None, name: str) -> str:
    if not found:
        return "–"
    return f"{_percent(found, name)} [{100 * found['low']:.1f}, {100 * found['high']:.1f}]"


def result_table(result: Mapping[str, Any]) -> Table:
    """Teachers, baseline, student, gain: what distillation bought."""
    rows, student = result["data"]["rows"], result["student"]
    sizes = f"{rows.get('validation', 0):,} validation and {rows.get('test', 0):,} test rows"
    own, figure = columns_of([result]), headline(result)
    unit = "accuracy in %" if figure == "accuracy" else f"{figure} times 100"
    table = table_of(
        f"{result['method']} on {result['dataset']}: {unit} on {sizes}",
        "model",
        "validation",
        "test [95%]",
        *(name.replace(" (", "\n(") for name in own),
        "steps",
        "parameters",
        "times\nsmaller",
    )
    if ended := broken_off(result):
        table.caption, table.caption_justify, table.caption_style = Text(ended), "left", "bold"

    def row(
        name: str, model: Mapping[str, Any], metrics: Mapping[str, Any], smaller: str, style: str
    ) -> None:
        seen = " (may have seen the test rows)" if model["may_have_seen_test_rows"] else ""
        validation, test = metrics.get("validation"), metrics.get("test")
        scores = [_percent(validation, figure), _with_interval(test, figure)]
        scores += [shown(metrics, column) for column in own.values()]
        steps = f"{model['steps']:,}" if model.get("steps") else "–"
        size = f"{model['parameters']:,}"
        label = Text(name + seen + mark(model))
        table.add_row(label, *scores, steps, size, smaller, style=style)

    for teacher in result["teachers"]:
        row(f"teacher {teacher['name']}", teacher, teacher["metrics"], "1", "")
    together = result["together"]
    if together:
        row("teachers together", together, together["metrics"], "", "")
    for stage in result["between"]:
        name = stage["model"].rstrip("/").rsplit("/", 1)[-1]
        row(f"{stage['name']} {name}", stage, stage["metrics"], "", "")
    for taught in result["trained_teachers"]:
        value, size = f"{100 * taught[f'validation_{figure}']:.2f}", f"{taught['parameters']:,}"
        label = Text(f"{_with_model(taught)}, after {result['method']}")
        table.add_row(label, value, *["–"] * (1 + len(own)), "–", size, "")
    name, alone = student["name"], result["baseline"]
    if alone:
        row(f"{name}, no teacher", alone, alone["metrics"], _smaller(alone), "")
    row(f"{name}, {result['method']}", student, result["metrics"], _smaller(student), "bold")
    return table


def _with_model(taught: Mapping[str, Any]) -> str:
    """A learner's name, and its model's where that does not begin with it."""
    name, model = taught["name"], taught["model"].rstrip("/").rsplit("/", 1)[-1]
    return name if name.startswith(model) else f"{name} {model}"


def _smaller(model: Mapping[str, Any]) -> str:
    """Than each teacher."""
    return " / ".join(f"{times:.2f}" for times in model["times_smaller"].values()) or "–"


def gain_line(result: Mapping[str, Any]) -> str | None:
    """The difference that the teachers made on the test rows, with its interval.

    It is called a gain where the baseline was trained for no fewer steps.
    """
    baseline = result["baseline"]
    if not baseline or "test" not in baseline["gain"]:
        return None
    gain = baseline["gain"]["test"]
    points = f"{100 * gain[headline(result)]:+.2f} points"
    interval = f"[{100 * gain['low']:+.2f}, {100 * gain['high']:+.2f}]"
    clear = gain["low"] > 0 or gain["high"] < 0
    verdict = "" if clear else "; not told apart from zero"
    which = "one such student" if result["student"]["members"] else "the same student"
    fewer = baseline.get("fewer_steps", False)
    steps = f" for {baseline['steps']:,} of {result['student']['steps']:,} steps" if fewer else ""
    lead, over = gain_or_difference([result]).capitalize(), f"{which} fine-tuned without a teacher"
    if both_at_chance(result):
        return (
            f"{lead} on test over {over}{steps}: none can be told. Neither is shown to be better "
            f"than chance ({points} apart)."
        )
    line = (
        f"{lead} on test: {points} {interval} over {over}{steps} "
        f"(95%, paired over rows, one seed{verdict})."
    )
    if gain["transferred"] is not None and not fewer:
        line += f" That is {100 * gain['transferred']:.0f}% of the teachers' own gain over it."
    return " ".join([line, *_ranking_gains(gain["ranking"])])


def _ranking_gains(ranking: Mapping[str, Any]) -> list[str]:
    return [
        f"In {name}: {100 * found['difference']:+.2f} "
        f"[{100 * found['low']:+.2f}, {100 * found['high']:+.2f}], paired over {found['groups']} "
        "groups."
        for name, found in ranking.items()
        if found
    ]


def plan_table(stages: Sequence[Mapping[str, str]]) -> Table:
    """What is going to happen; one row a stage."""
    columns = list(stages[0])
    table = table_of("Plan", *columns)
    for stage in stages:
        table.add_row(*(Text(stage[column]) for column in columns))
    return table


def sweep_table(title: str, jobs: Sequence[Mapping[str, str]]) -> Table:
    """The jobs of a sweep; one row a job."""
    columns = list(jobs[0])
    table = table_of(title, *columns)
    table.columns[0].overflow = "fold"  # a job's name is never cut
    for name, column in zip(columns[1:], table.columns[1:], strict=True):
        # A heading is broken between its words, so that the jobs' names have the room.
        column.no_wrap, column.justify = False, "right"
        column.max_width = max(map(len, (*name.split(), *(job[name] for job in jobs))))
    for job in jobs:
        table.add_row(*(Text(job[column]) for column in columns))
    return table


def width_of(table: Table) -> int:
    """Characters in a line, where nothing is folded."""
    return Console(width=_WIDEST).measure(table).maximum


def in_width(
    jobs: Sequence[Mapping[str, str]], width: int
) -> tuple[list[dict[str, str]], tuple[str, ...]]:
    """The sweep's rows with as many columns as a line has room for, and the titles left out.

    Those that say the same of every job are left out first, then the last ones, and none up to
    the gain, the published figure and who is at chance.
    """
    titles = list(jobs[0])
    needed = 1 + max((at for at, name in enumerate(titles) if _needed(name)), default=0)
    spare = list(reversed(titles[needed:]))
    alike = [name for name in spare if len(jobs) > 1 and len({job[name] for job in jobs}) == 1]
    out: list[str] = []
    for name in [*alike, *(name for name in spare if name not in alike)]:
        kept = [title for title in titles if title not in out]
        if width_of(sweep_table("", _only(jobs, kept))) <= width:
            break
        out.append(name)
    kept = [title for title in titles if title not in out]
    return _only(jobs, kept), tuple(title for title in titles if title in out)


def _needed(title: str) -> bool:
    leads = ("gain", "difference", "mean gain", "mean difference")
    return title in (*leads, "published", "at chance")


def _only(jobs: Sequence[Mapping[str, str]], titles: Sequence[str]) -> list[dict[str, str]]:
    return [{title: job[title] for title in titles} for job in jobs]
