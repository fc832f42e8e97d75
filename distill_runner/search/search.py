"""Searches the smallest and fastest student that a budget allows.

Measure first, without training; train in rounds, judged on validation; answer the test rows once,
with the finalists; export the choice.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from distill_runner.console.names import format_count
from distill_runner.errors import DistillError, Refused
from distill_runner.evaluation.predictions_file import read_predictions
from distill_runner.export.extra import check_installed
from distill_runner.search.asked import Asked
from distill_runner.search.bench import Bench, open_bench
from distill_runner.search.dominance import frontier_of, nearest
from distill_runner.search.forms import Form, write_forms
from distill_runner.search.found import Found, Teachers, budget_words, left_out_line
from distill_runner.search.halving import Halving, Run, teachers_file, teachers_of
from distill_runner.search.judging import JudgedRows, ask_for_transformer, choose, judge
from distill_runner.search.measuring import Say, measure_points
from distill_runner.search.points import Dropped, Point, Trained, Variant, name_point
from distill_runner.search.record import SearchFolder
from distill_runner.serving.finished_run import read_run


@dataclass(frozen=True)
class Measured:
    """The students of a search and their forms, measured, with nothing trained.

    Attributes:
        benches: the students.
        points: every form of them.
        fitting: those within the budget.
        references: students beyond the budget that are trained all the same, so that both kinds
            can be compared: the nearest of a kind none of which fits.
        left_out: lines on students that could not be tried.
    """

    folder: SearchFolder
    benches: Mapping[Variant, Bench]
    points: tuple[Point, ...]
    fitting: tuple[Point, ...]
    references: tuple[Variant, ...]
    left_out: tuple[str, ...]

    @property
    def variants(self) -> list[Variant]:
        """The students to train."""
        able = {point.variant for point in self.fitting} | set(self.references)
        return [variant for variant in self.benches if variant in able]


def measure(asked: Asked, *, say: Say) -> Measured:
    """Make every check that precedes training, and measure the students.

    Args:
        asked: the search.
        say: receives a line for every step.

    Raises:
        Refused: a run would be refused, ONNX packages are missing, the folder is another's, or
            no student fits the budget.
    """
    _check_packages(asked)
    folder = SearchFolder(asked.folder)
    benches, left_out = _open_benches(asked)
    for split in ("validation", "test"):
        next(iter(benches.values())).rows(split)
    points = measure_points(benches, asked, folder, say=say)
    fitting = [point for point in points if point.cost.fits(asked.budget)]
    if not fitting:
        raise _nothing_fits(points, asked)
    kinds = {point.variant.is_static for point in fitting}
    others = [
        [point for point in points if point.variant.is_static is kind]
        for kind in {False, True} - kinds
    ]
    references = [nearest(each, asked.budget).variant for each in others if each]
    return Measured(
        folder, benches, tuple(points), tuple(fitting), tuple(references), tuple(left_out)
    )


def search(asked: Asked, measured: Measured, run: Run, *, say: Say) -> Found:
    """Train the students, choose finalists on validation, and test them.

    Args:
        asked: the search.
        measured: its students.
        run: carries out one run, as `distill_runner.run` does.
        say: receives a line for every step.

    Raises:
        DistillError: a run failed; what is finished is kept.
    """
    folder, benches = measured.folder, measured.benches
    halving = Halving(asked, benches, measured.points, folder, run, say)
    left = halving.train(measured.variants)
    say("writing every form of them, and answering the validation rows")
    with _forms(asked, measured, halving, left) as forms:
        trained = _answer_validation(measured, forms)
        finalists = _finalists(trained, measured)
        bench = benches[left[0]]
        count = format_count(len(finalists), "finalist")
        say(f"testing {count} on {len(bench.rows('test')):,} rows, once")
        names = [one.point.name for one in finalists]
        before = [name for name in folder.record.tested if name not in names]
        # Noted before the first answer: a search that is stopped here has looked, too.
        folder.keep(replace(folder.record, tested=(*before, *names)))
        texts = bench.texts("test")
        answers = [(one, forms[one.point.name].load()(texts)) for one in finalists]
    rows, teachers = _judged_rows(bench, halving.run_folder(left[0]))
    tested = judge(answers, rows, margin=asked.frontier.margin, tested_before=len(before))
    return Found(
        folder=folder.path,
        data=bench.composed.settings.dataset.name,
        metric=bench.task.primary_metric.value,
        rows=(len(bench.rows("validation")), len(bench.rows("test"))),
        budget=asked.budget,
        margin=asked.frontier.margin,
        words={variant: tuple(halving.words(variant, None)) for variant in benches},
        fitting=measured.fitting,
        trained=tuple(trained),
        dropped=(*_beyond_budget(measured), *halving.dropped),
        frontier=tuple(names),
        tested=tuple(tested),
        tested_before=len(before),
        teachers=teachers,
        chosen=choose(tested, measured.fitting),
        question=ask_for_transformer(tested, rows, margin=asked.frontier.margin),
        left_out=measured.left_out,
    )


def _check_packages(asked: Asked) -> None:
    if not (asked.frontier.onnx or asked.frontier.int8):
        return
    try:
        check_installed()
    except Refused as refused:
        without = "frontier.onnx=false frontier.int8=false"
        raise refused.with_way_out(f"{refused.way_out}, or {without}") from None


def _open_benches(asked: Asked) -> tuple[dict[Variant, Bench], list[str]]:
    """Return the students that the model can be cut to, and lines on the others."""
    wanted, limits = asked.frontier, asked.limits
    layers = sorted(set(wanted.layers))
    depth = _depth_of(asked) if layers else 0
    missing = [each for each in layers if each > depth]
    left_out = [left_out_line(missing, asked.model, depth)] if missing else []
    shapes = [*([0] if wanted.static else []), *(each for each in layers if each <= depth)]
    if not shapes:
        raise Refused(
            f"There is no student to try: {asked.model} has {depth} layers.",
            key="frontier.layers",
            value=layers,
            rule=f"numbers from 1..{depth}",
            way_out=f"frontier.layers=[{depth}]",
        )
    variants = [Variant(each, limit) for limit in limits for each in shapes]
    return {variant: open_bench(asked, variant) for variant in variants}, left_out


def _depth_of(asked: Asked) -> int:
    """Return how many layers the model has."""
    built = asked.composed.settings.models.get(asked.model)
    if built is not None:
        return built.layers
    return open_bench(asked, Variant(1, asked.limits[0])).depth or 0


def _nothing_fits(points: Sequence[Point], asked: Asked) -> Refused:
    closest = nearest(points, asked.budget)
    cost = closest.cost
    need = [
        f"budget.{key}={max(limit, _round_up(value)):g}"
        for key, limit, value in (
            ("ms", asked.budget.ms, cost.p95),
            ("mb", asked.budget.mb, cost.megabytes),
        )
        if limit is not None
    ]
    return Refused(
        f"No student fits the budget. The nearest is {closest.title} ({closest.runtime}): "
        f"{cost.p95:.3g} ms, {cost.megabytes:.3g} MB.",
        key="budget",
        value=budget_words(asked.budget),
        rule=f"what at least one of {len(points)} forms of students can meet on this machine",
        way_out=" ".join(need),
    )


def _round_up(value: float) -> float:
    """Return the number with two digits that is not smaller."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return math.ceil(value / unit) * unit


@contextmanager
def _forms(
    asked: Asked, measured: Measured, halving: Halving, variants: Sequence[Variant]
) -> Iterator[dict[str, Form]]:
    """Write every form of the trained students; yield them by the point's name."""
    with TemporaryDirectory() as place:
        found: dict[str, Form] = {}
        for variant in variants:
            run, bench = read_run(halving.run_folder(variant)), measured.benches[variant]
            student = replace(bench.student_in(run.folder / "student"), folders=run.student_folders)
            forms = write_forms(
                student, asked.frontier, bench.learnt_texts, Path(place, variant.folder)
            )
            found |= {name_point(variant, form.name): form for form in forms}
        yield found


def _answer_validation(measured: Measured, forms: Mapping[str, Form]) -> list[Trained]:
    bench = next(iter(measured.benches.values()))
    texts, labels = bench.texts("validation"), bench.task.labels(bench.rows("validation"))
    found = []
    for point in measured.points:
        if point.name in forms:
            logits = forms[point.name].load()(texts)
            found.append(Trained(point, bench.task.value(logits, labels), logits))
    return found


def _finalists(trained: Sequence[Trained], measured: Measured) -> list[Trained]:
    """Return the frontier of what fits, and the best of each kind that the frontier lacks.

    The second are tested too, so that the two kinds of students can be compared.
    """
    finalists = frontier_of([one for one in trained if one.point in measured.fitting])
    for kind in (True, False):
        there = any(one.point.variant.is_static is kind for one in finalists)
        of_kind = [one for one in trained if one.point.variant.is_static is kind]
        if of_kind and not there:
            finalists.append(max(of_kind, key=lambda one: (one.score, -one.point.cost.p95)))
    return finalists


def _judged_rows(bench: Bench, run_folder: Path) -> tuple[JudgedRows, Teachers]:
    """Return the test rows with the answers of the teachers together, from a run's predictions."""
    rows, names = bench.rows("test"), teachers_of(run_folder)
    found = read_predictions(teachers_file(run_folder, names), bench.task, bench.data.label_names)
    if list(found.ids) != list(rows["id"][:]):
        raise DistillError(f"The teachers' predictions in {run_folder} are of other rows.")
    judged = JudgedRows(bench.task, rows, np.asarray(found.logits))
    score = judged.value(judged.teachers)
    return judged, Teachers(names, score, judged.interval(judged.teachers))


def _beyond_budget(measured: Measured) -> list[Dropped]:
    """Return the students none of whose forms fits, except those trained for comparison."""
    return [
        Dropped(variant, 0, None, "no form of it fits the budget")
        for variant in measured.benches
        if variant not in measured.variants
    ]
