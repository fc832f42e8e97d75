"""Makes tables for the terminal: the result of a run, the jobs of a sweep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from distill_runner.console.names import (
    join_names,
    model_name,
    random_line,
    shorten_list,
    with_layers,
)
from distill_runner.report.at_chance import both_at_chance, mark
from distill_runner.report.columns import (
    broken_off_line,
    cell,
    columns_of,
    effective_rows,
    gain_or_difference,
    unscored_lines,
)
from distill_runner.report.fitted import Fitted, Row
from distill_runner.results.schema import (
    BaselineResult,
    ModelResult,
    RunResult,
    TaughtTeacher,
    TrainedModel,
)
from distill_runner.results.scores import Gain, RankingDifference, Scores

_WIDEST = 1000  # characters; wider than any table


def empty_table(title: str, *columns: str) -> Table:
    """Make an empty table: names are aligned left, figures right."""
    table = Table(
        title=escape(title),  # typed overrides such as [map,mrr] are not markup
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


def result_table(result: RunResult) -> Fitted:
    """Make a table with a row per model: teachers, intermediate models, baseline and student.

    Columns without figures are left out, and so are steps if they are equal for all.
    """
    metric, models = result.primary_metric, list(_models(result))
    columns = [column for column in _figures(result, {}) if _worth_a_column(column, models)]
    unit = "accuracy in %" if metric == "accuracy" else f"{metric} times 100"
    splits = {column.split()[0] for column in columns}
    sizes = [
        f"{result.data.rows[split]:,} {split}"
        for split in ("validation", "test")
        if split in splits
    ]
    return Fitted(
        f"{result.method} on {result.data.name}: {unit} on {join_names(sizes)} rows",
        ["model", *columns],
        [
            Row([name, *(figures[column] for column in columns)], style)
            for name, figures, style in models
        ],
        names=("model",),
        caption=broken_off_line(result),
    )


Figures = dict[str, str]  # a model's cells by their columns


def _figures(result: RunResult, scores: Scores, steps: int | None = None) -> Figures:
    test = cell(scores, ("test", result.primary_metric))
    if "test" in scores:
        test += f" [{100 * scores['test'].low:.1f}, {100 * scores['test'].high:.1f}]"
    return {
        "validation": cell(scores, ("validation", result.primary_metric)),
        "test [95%]": test,
        "effective n": effective_rows(scores["test"]) if "test" in scores else "–",
        **{title: cell(scores, column) for title, column in columns_of([result]).items()},
        "steps": f"{steps:,}" if steps else "–",
    }


def _models(result: RunResult) -> Iterator[tuple[str, Figures, str]]:
    """Yield every model's name, figures and style, the student last."""

    def row(
        name: str, model: ModelResult, scores: Scores, steps: int | None, style: str = ""
    ) -> tuple[str, Figures, str]:
        seen = " (may have seen the test rows)" if model.may_have_seen_test_rows else ""
        return name + seen + mark(model), _figures(result, scores, steps), style

    for teacher in result.teachers:
        yield row(f"teacher {teacher.name}", teacher, teacher.metrics, teacher.steps)
    if joined := result.together:
        yield row("teachers together", joined, joined.metrics, None)
    for stage in result.between:
        name = f"{stage.name} {with_layers(stage.model, stage.layers)}"
        yield row(name, stage, stage.metrics, stage.steps)
    for taught in result.trained_teachers:
        figures = _figures(result, {}) | {"validation": f"{100 * taught.validation:.2f}"}
        yield f"{_with_model(taught)}, after {result.method}", figures, ""
    student, baseline = result.student, result.baseline
    name = with_layers(student.model, student.layers)
    if baseline:
        yield row(f"{name}, no teacher", baseline, baseline.metrics, baseline.steps)
    yield row(f"{name}, {result.method}", student, result.metrics, student.steps, "bold")


def _worth_a_column(column: str, models: Sequence[tuple[str, Figures, str]]) -> bool:
    cells = {figures[column] for _, figures, _ in models}
    alike = column == "steps" and len(models) > 1 and len(cells - {"–"}) == 1
    return cells != {"–"} and not alike


def result_lines(result: RunResult) -> list[str]:
    """Return the lines below the table: steps if equal for all, parameters, random weights."""
    steps = {made for _, figures, _ in _models(result) if (made := figures["steps"]) != "–"}
    lines = []
    if len(steps) == 1 and not _worth_a_column("steps", list(_models(result))):
        (made,) = steps
        lines.append(f"Steps: {made} for every model that was trained.")
    lines.append(_sizes(result))
    teachers = [teacher for teacher in result.teachers if teacher.answers is None]
    models: list[TrainedModel | TaughtTeacher] = [*teachers, *result.between]
    models += [*result.trained_teachers, result.student]
    lines += unscored_lines(result)
    random = random_line(result.random_models, [model_name(one.model) for one in models])
    return [*lines, f"Models: {random}."] if random else lines


def _sizes(result: RunResult) -> str:
    """State the parameters of each model, and how many times smaller the student is."""
    student = result.student
    sizes = {one.name: one.parameters for one in result.teachers if one.parameters is not None}
    others: list[TrainedModel | TaughtTeacher] = [*result.between, *result.trained_teachers]
    for other in others:
        assert other.parameters is not None  # only a configured teacher may be a file
        sizes.setdefault(with_layers(other.model, other.layers), other.parameters)
    name = with_layers(student.model, student.layers)
    by_size: dict[int, list[str]] = {}
    for model, size in sizes.items():
        if model != name:
            by_size.setdefault(size, []).append(model)
    shown = [f"{shorten_list(models)} {size:,}" for size, models in by_size.items()]
    each = (result.baseline or student).parameters
    several = f" ({len(student.members)} of {each:,})" if student.members else ""
    beside = join_names(_beside_teachers(student.times_smaller))
    own = f"{name} {student.parameters:,}{several}{beside and f', {beside}'}"
    return f"Parameters: {'; '.join([*shown, own])}."


def _beside_teachers(smaller: Mapping[str, float]) -> list[str]:
    """State the student's size relative to each teacher; once if all have the same size."""
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


def _with_model(taught: TaughtTeacher) -> str:
    """Return a teacher's name, with its model's unless the name begins with it."""
    model = with_layers(taught.model, taught.layers)
    return taught.name if taught.name.startswith(model) else f"{taught.name} {model}"


def gain_line(result: RunResult) -> str | None:
    """State the student's lead over the baseline on the test rows, with its interval.

    It is called a gain only if the baseline was trained for as many steps.
    """
    baseline = result.baseline
    if baseline is None or "test" not in baseline.gain:
        return None
    gain = baseline.gain["test"]
    points = f"{100 * gain.difference:+.2f} points"
    lead, over = gain_or_difference([result]), _baseline_name(result, baseline)
    if both_at_chance(result):
        return (
            f"No {lead} on test over {over} can be claimed: neither is shown to be better "
            f"than chance ({points} apart)."
        )
    interval = f"[{100 * gain.low:+.2f}, {100 * gain.high:+.2f}]"
    line = (
        f"{lead.capitalize()} on test: {points} {interval} over {over} "
        f"(95% interval, paired over {_paired_over(result)}, one seed)."
    )
    verdict = _verdict(gain, fewer_steps=baseline.fewer_steps)
    return " ".join([line, *verdict, *_ranking_gains(gain.ranking)])


def _paired_over(result: RunResult) -> str:
    test = result.metrics["test"]
    return "rows" if test.clusters == test.n else f"{test.clusters:,} clusters of rows"


def _baseline_name(result: RunResult, baseline: BaselineResult) -> str:
    which = "one such student" if result.student.members else "the same student"
    steps = f" for {baseline.steps:,} of {result.student.steps:,} steps"
    return f"{which} fine-tuned without a teacher{steps if baseline.fewer_steps else ''}"


def _verdict(gain: Gain, *, fewer_steps: bool) -> list[str]:
    """State whether the lead is significant at 95%, and its share of the teachers' lead."""
    if gain.low <= 0 <= gain.high:
        return ["Not significant: the interval includes zero."]
    if gain.transferred is None or gain.difference <= 0 or fewer_steps:
        return []
    return [f"The gain is {100 * gain.transferred:.0f}% of the lead that the teachers have."]


def _ranking_gains(ranking: Mapping[str, RankingDifference | None]) -> list[str]:
    return [
        f"In {name}: {100 * found.difference:+.2f} "
        f"[{100 * found.low:+.2f}, {100 * found.high:+.2f}], paired over {found.groups} groups."
        for name, found in ranking.items()
        if found
    ]


def sweep_table(title: str, jobs: Sequence[Mapping[str, str]]) -> Table:
    """Make a table of the jobs of a sweep, one row each."""
    columns = list(jobs[0])
    table = empty_table(title, *columns)
    table.columns[0].overflow = "fold"  # a job's name is never cut
    for name, column in zip(columns[1:], table.columns[1:], strict=True):
        # Headings wrap between words, which leaves more room for the jobs' names.
        column.no_wrap, column.justify = False, "right"
        column.max_width = max(map(len, (*name.split(), *(job[name] for job in jobs))))
    for job in jobs:
        table.add_row(*(Text(job[column]) for column in columns))
    return table


def table_width(table: Table) -> int:
    """Return the table's width in characters if nothing wraps."""
    return Console(width=_WIDEST).measure(table).maximum


def fit_width(
    jobs: Sequence[Mapping[str, str]], width: int
) -> tuple[list[dict[str, str]], tuple[str, ...]]:
    """Drop columns until a sweep's table fits; return the rows and the dropped titles.

    Columns with one value for all jobs go first, then the last ones. The columns up to the gain,
    the published figure and the chance level always stay.
    """
    titles = list(jobs[0])
    needed = 1 + max((at for at, name in enumerate(titles) if _needed(name)), default=0)
    spare = list(reversed(titles[needed:]))
    alike = [name for name in spare if len(jobs) > 1 and len({job[name] for job in jobs}) == 1]
    out: list[str] = []
    for name in [*alike, *(name for name in spare if name not in alike)]:
        kept = [title for title in titles if title not in out]
        if table_width(sweep_table("", _select(jobs, kept))) <= width:
            break
        out.append(name)
    kept = [title for title in titles if title not in out]
    return _select(jobs, kept), tuple(title for title in titles if title in out)


def _needed(title: str) -> bool:
    leads = ("gain", "difference", "mean gain", "mean difference")
    return title in (*leads, "published", "at chance")


def _select(jobs: Sequence[Mapping[str, str]], titles: Sequence[str]) -> list[dict[str, str]]:
    return [{title: job[title] for title in titles} for job in jobs]
