"""Writes frontier.csv: every form of every student, those dropped on the way included."""

from __future__ import annotations

import csv
from io import StringIO

from distill_runner.search.found import Found
from distill_runner.search.points import Dropped, Finalist, Point, Trained

_COLUMNS = (
    *("student", "layers", "max_tokens", "form", "runtime", "ms_p50", "ms_p95", "mb"),
    *("fits", "dropped_after_round", "because", "validation", "finalist", "test", "test_low"),
    *("test_high", "minus_teachers", "minus_teachers_low", "minus_teachers_high"),
    *("p_no_worse", "no_worse", "chosen", "command"),
)


def sheet(found: Found) -> str:
    """Return the table as CSV; scores are shares of 1."""
    file = StringIO()
    writer = csv.DictWriter(file, _COLUMNS, restval="")
    writer.writeheader()
    tested = {one.point.name: one for one in found.tested}
    for one in found.trained:
        writer.writerow(_trained(one, found) | _tested(tested.get(one.point.name)))
    for each in found.dropped:
        writer.writerow(_dropped(each, found))
    return file.getvalue()


def _trained(one: Trained, found: Found) -> dict[str, object]:
    return _point(one.point, found) | {
        "validation": f"{one.score:.6f}",
        "finalist": one.point.name in {each.point.name for each in found.tested},
        "chosen": one.point == found.chosen.point,
        "command": found.command(one.point.variant),
    }


def _point(point: Point, found: Found) -> dict[str, object]:
    return {
        "student": point.variant.shape,
        "layers": point.variant.layers,
        "max_tokens": point.variant.max_tokens,
        "form": point.form,
        "runtime": point.runtime,
        "ms_p50": f"{point.cost.p50:.4f}",
        "ms_p95": f"{point.cost.p95:.4f}",
        "mb": f"{point.cost.megabytes:.4f}",
        "fits": point in found.fitting,
    }


def _tested(one: Finalist | None) -> dict[str, object]:
    if one is None:
        return {}
    return {
        "test": f"{one.score:.6f}",
        "test_low": f"{one.interval.low:.6f}",
        "test_high": f"{one.interval.high:.6f}",
        "minus_teachers": f"{one.lead:.6f}",
        "minus_teachers_low": f"{one.lead_interval.low:.6f}",
        "minus_teachers_high": f"{one.lead_interval.high:.6f}",
        "p_no_worse": f"{one.p_value:.6f}",
        "no_worse": one.is_no_worse,
    }


def _dropped(each: Dropped, found: Found) -> dict[str, object]:
    return {
        "student": each.variant.shape,
        "layers": each.variant.layers,
        "max_tokens": each.variant.max_tokens,
        "dropped_after_round": each.rung,
        "because": each.because,
        "validation": "" if each.score is None else f"{each.score:.6f}",
        "finalist": False,
        "chosen": False,
        "command": found.command(each.variant),
    }
