"""Tables for the terminal: the result of a run, the jobs of a sweep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from distill_runner.console.names import listed, model_name, random_line, together, with_layers
from distill_runner.report.at_chance import both_at_chance, mark
from distill_runner.report.columns import (
    broken_off,
    columns_of,
    gain_or_difference,
    headline,
    shown,
)
from distill_runner.report.fitted import Fitted, Row

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


def result_table(result: Mapping[str, Any]) -> Fitted:
    """Teachers, baseline, student: what distillation bought.

    A figure that no model has is left out, and so are steps that all have made alike.
    """
    figure, found = headline(result), list(_models(result))
    columns = [column for column in _figures(result, {}, {}) if _worth_a_column(column, found)]
    unit = "accuracy in %" if figure == "accuracy" else f"{figure} times 100"
    rows = result["data"]["rows"]
    scored = {column.split()[0] for column in columns}
    sizes = [f"{rows[split]:,} {split}" for split in ("validation", "test") if split in scored]
    return Fitted(
        f"{result['method']} on {result['data']['name']}: {unit} on {listed(sizes)} rows",
        ["model", *columns],
        [
            Row([name, *(figures[column] for column in columns)], style)
            for name, figures, style in found
        ],
        names=("model",),
        caption=broken_off(result),
    )


Figures = dict[str, str]  # a model's cells by their columns


def _figures(
    result: Mapping[str, Any], model: Mapping[str, Any], metrics: Mapping[str, Any]
) -> Figures:
    figure = headline(result)
    return {
        "validation": _percent(metrics.get("validation"), figure),
        "test [95%]": _with_interval(metrics.get("test"), figure),
        **{title: shown(metrics, column) for title, column in columns_of([result]).items()},
        "steps": f"{model['steps']:,}" if model.get("steps") else "–",
    }


def _models(result: Mapping[str, Any]) -> Iterator[tuple[str, Figures, str]]:
    """Every model's name, figures and style, the student last."""

    def row(
        name: str, model: Mapping[str, Any], metrics: Mapping[str, Any], style: str = ""
    ) -> tuple[str, Figures, str]:
        seen = " (may have seen the test rows)" if model["may_have_seen_test_rows"] else ""
        return name + seen + mark(model), _figures(result, model, metrics), style

    for teacher in result["teachers"]:
        yield row(f"teacher {teacher['name']}", teacher, teacher["metrics"])
    if joined := result["together"]:
        yield row("teachers together", joined, joined["metrics"])
    for stage in result["between"]:
        name = with_layers(stage["model"], stage["layers"])
        yield row(f"{stage['name']} {name}", stage, stage["metrics"])
    for taught in result["trained_teachers"]:
        value = f"{100 * taught[f'validation_{headline(result)}']:.2f}"
        figures = _figures(result, {}, {}) | {"validation": value}
        yield f"{_with_model(taught)}, after {result['method']}", figures, ""
    student, alone = result["student"], result["baseline"]
    name = with_layers(student["model"], student["layers"])
    if alone:
        yield row(f"{name}, no teacher", alone, alone["metrics"])
    yield row(f"{name}, {result['method']}", student, result["metrics"], "bold")


def _worth_a_column(column: str, models: Sequence[tuple[str, Figures, str]]) -> bool:
    cells = {figures[column] for _, figures, _ in models}
    alike = column == "steps" and len(models) > 1 and len(cells - {"–"}) == 1
    return cells != {"–"} and not alike


def result_lines(result: Mapping[str, Any]) -> list[str]:
    """What the table leaves out: steps that are the same for all, sizes, random weights."""
    steps = {cell for _, figures, _ in _models(result) if (cell := figures["steps"]) != "–"}
    lines = []
    if len(steps) == 1 and not _worth_a_column("steps", list(_models(result))):
        (made,) = steps
        lines.append(f"Steps: {made} for every model that was trained.")
    lines.append(_sizes(result))
    models = [*result["teachers"], *result["between"], *result["trained_teachers"]]
    models.append(result["student"])
    begun = random_line(result["random_models"], [model_name(one["model"]) for one in models])
    return [*lines, f"Models: {begun}."] if begun else lines


def _sizes(result: Mapping[str, Any]) -> str:
    """Parameters of each model, and how many times smaller the student is."""
    student = result["student"]
    sizes = {teacher["name"]: teacher["parameters"] for teacher in result["teachers"]}
    for stage in (*result["between"], *result["trained_teachers"]):
        sizes.setdefault(with_layers(stage["model"], stage["layers"]), stage["parameters"])
    name = with_layers(student["model"], student["layers"])
    by_size: dict[int, list[str]] = {}
    for model, size in sizes.items():
        if model != name:
            by_size.setdefault(size, []).append(model)
    others = [f"{together(models)} {size:,}" for size, models in by_size.items()]
    alone = (result["baseline"] or student)["parameters"]
    several = f" ({len(student['members'])} of {alone:,})" if student["members"] else ""
    beside = listed(_beside(student["times_smaller"]))
    own = f"{name} {student['parameters']:,}{several}{beside and f', {beside}'}"
    return f"Parameters: {'; '.join([*others, own])}."


def _beside(smaller: Mapping[str, float]) -> list[str]:
    """How large the student is beside each teacher; beside all, where they are of one size."""
    if len(smaller) > 1 and len(set(smaller.values())) == 1:
        smaller = {"each teacher": next(iter(smaller.values()))}
    return [
        f"as large as {name}"
        if round(times, 2) == 1
        else f"{times:.2f} times smaller than {name}"
        if times > 1
        else f"{1 / times:.2f} times larger than {name}"
        for name, times in smaller.items()
    ]


def _with_model(taught: Mapping[str, Any]) -> str:
    """A learner's name, and its model's where that does not begin with it."""
    name, model = taught["name"], with_layers(taught["model"], taught["layers"])
    return name if name.startswith(model) else f"{name} {model}"


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
    which = "one such student" if result["student"]["members"] else "the same student"
    fewer = baseline.get("fewer_steps", False)
    steps = f" for {baseline['steps']:,} of {result['student']['steps']:,} steps" if fewer else ""
    lead, over = gain_or_difference([result]), f"{which} fine-tuned without a teacher{steps}"
    if both_at_chance(result):
        return (
            f"No {lead} on test over {over} can be claimed: neither is shown to be better "
            f"than chance ({points} apart)."
        )
    line = (
        f"{lead.capitalize()} on test: {points} {interval} over {over} "
        f"(95% interval, paired over rows, one seed)."
    )
    verdict = _verdict(gain, gain[headline(result)], fewer=fewer)
    return " ".join([line, *verdict, *_ranking_gains(gain["ranking"])])


def _verdict(gain: Mapping[str, Any], lead: float, *, fewer: bool) -> list[str]:
    """Whether a lead may be believed, and how it stands beside the teachers' own."""
    if gain["low"] <= 0 <= gain["high"]:
        # A share of the teachers' lead would say nothing.
        return ["Not significant: the interval includes zero."]
    found = []
    if gain["transferred"] is not None and lead > 0 and not fewer:
        share = 100 * gain["transferred"]
        found.append(f"The gain is {share:.0f}% of the lead that the teachers have.")
    return found


def _ranking_gains(ranking: Mapping[str, Any]) -> list[str]:
    return [
        f"In {name}: {100 * found['difference']:+.2f} "
        f"[{100 * found['low']:+.2f}, {100 * found['high']:+.2f}], paired over {found['groups']} "
        "groups."
        for name, found in ranking.items()
        if found
    ]


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
