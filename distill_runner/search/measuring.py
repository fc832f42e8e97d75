"""Measures every form of every student before anything is trained.

Neither time nor size depends on the weights, so students with random weights are measured: all
forms in turns on the same validation texts, one text at a time, on one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from distill_runner.console.names import format_count
from distill_runner.export.timing import measure_singly
from distill_runner.runtime.provenance import processor
from distill_runner.search.asked import Asked
from distill_runner.search.bench import Bench
from distill_runner.search.forms import Form, write_forms
from distill_runner.search.points import Cost, Point, Variant, name_point
from distill_runner.search.record import MeasuredCost, SearchFolder
from distill_runner.storage.store import key_of

_TEXTS, _TRIES = 100, 3  # of the tries of a text the fastest counts

Say = Callable[[str], None]


def measure_points(
    benches: Mapping[Variant, Bench], asked: Asked, folder: SearchFolder, *, say: Say
) -> list[Point]:
    """Return every form of every student with its cost, from the record if it has them.

    Args:
        benches: the students.
        asked: the search.
        folder: its folder, whose record keeps the measurements.
        say: receives a line before the measuring.
    """
    wanted = asked.frontier
    forms = [wanted.vocabulary_cut, wanted.onnx, wanted.int8]
    rows = [bench.data.fingerprints for bench in benches.values()]
    names = [variant.folder for variant in benches]
    measured_for = key_of([names, forms, rows, asked.model, processor()])
    if folder.record.measured_for != measured_for:
        say(f"measuring {format_count(len(benches), 'student')} with random weights")
        costs = _measure(benches, asked)
        folder.keep(replace(folder.record, measured_for=measured_for, costs=costs))
    return [
        Point(variant, form, Cost(cost.p50, cost.p95, cost.size))
        for variant in benches
        for form, cost in _forms_of(variant, folder.record.costs)
    ]


def _forms_of(
    variant: Variant, costs: Mapping[str, MeasuredCost]
) -> Sequence[tuple[str, MeasuredCost]]:
    start = name_point(variant, "")
    return [
        (name.removeprefix(start), cost) for name, cost in costs.items() if name.startswith(start)
    ]


def _measure(benches: Mapping[Variant, Bench], asked: Asked) -> dict[str, MeasuredCost]:
    with TemporaryDirectory() as place:
        found: dict[str, Form] = {}
        for variant, bench in benches.items():
            folder = Path(place, variant.folder)
            student = bench.write_untrained(folder / "model")
            forms = write_forms(student, asked.frontier, bench.learnt_texts, folder / "forms")
            found |= {name_point(variant, form.name): form for form in forms}
        texts = next(iter(benches.values())).texts("validation")
        answering = {name: form.load() for name, form in found.items()}
        times = measure_singly(answering, texts, count=_TEXTS, tries=_TRIES)
    return {
        name: MeasuredCost(p50=times[name].p50, p95=times[name].p95, size=form.size)
        for name, form in found.items()
    }
