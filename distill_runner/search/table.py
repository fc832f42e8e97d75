"""Lays a search's result out for a terminal of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Sequence

from distill_runner.console.names import format_count
from distill_runner.search.found import Found, budget_words
from distill_runner.search.judging import LEVEL, TransformerQuestion
from distill_runner.search.points import Finalist, Point

_HEAD = (
    f"  {'student':<9}{'tokens':>6} {'form':<9}{'valid.':>6} {'test [95%]':<20}"
    f"{'ms p95':>6}{'MB':>6} fits no worse"
)


def points_table(points: Sequence[Point], fitting: Collection[Point]) -> list[str]:
    """Return the costs of all points, before anything is trained."""
    head = (
        f"  {'student':<9}{'tokens':>6} {'form':<9}{'runtime':<12}"
        f"{'ms p50':>8}{'ms p95':>8}{'MB':>6} fits"
    )
    rows = [
        f"  {one.variant.shape:<9}{one.variant.max_tokens:>6} {one.form:<9}{one.runtime:<12}"
        f"{one.cost.p50:>8.2f}{one.cost.p95:>8.2f}{_size(one)} {_yes(one in fitting)}"
        for one in sorted(points, key=lambda one: one.cost.p95)
    ]
    return [head, "  " + "─" * (len(head) - 2), *rows]


def frontier_table(found: Found) -> list[str]:
    """Return the finalists with their scores, from the fastest, and the teachers."""
    tested = sorted(found.tested, key=lambda one: one.point.cost.p95)
    teachers = found.teachers
    interval = f"{100 * teachers.score:.2f} {_ends(teachers.interval.low, teachers.interval.high)}"
    return [
        _HEAD,
        "  " + "─" * (len(_HEAD) - 2),
        *(_row(one, found) for one in tested),
        f"  {'teachers together':<31} {interval}",
    ]


def _row(one: Finalist, found: Found) -> str:
    point, mark = one.point, "→" if one is found.chosen else " "
    test = f"{100 * one.score:.2f} {_ends(one.interval.low, one.interval.high)}"
    return (
        f"{mark} {point.variant.shape:<9}{point.variant.max_tokens:>6} {point.form:<9}"
        f"{100 * one.trained.score:>6.2f} {test:<20}{point.cost.p95:>6.2f}{_size(point)} "
        f"{_yes(point in found.fitting):<4} {_yes(one.is_no_worse)}"
    )


def _ends(low: float, high: float) -> str:
    return f"[{100 * low:.1f}, {100 * high:.1f}]"


def _size(point: Point) -> str:
    megabytes = point.cost.megabytes
    return f"{megabytes:>6.1f}" if megabytes >= 1 else f"{megabytes:>6.3f}"


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"


def heading(found: Found) -> str:
    """Return the line above the table."""
    validation, test = found.rows
    return f"{found.data}: {found.metric} in %, {validation:,} validation and {test:,} test rows"


def notes(found: Found) -> list[str]:
    """Say how to read the table."""
    count, before = len(found.tested), found.tested_before
    finalists = format_count(count, "finalist")
    held = f" and {before} tested here before" if before else ""
    return _wrapped(
        f"Budget: {budget_words(found.budget)}. ms: 95th percentile, one text at a time, one "
        "thread, with tokenising, of each text the fastest of three tries; torch and cut answer "
        "with torch, the others with onnxruntime. "
        "MB: all files that answering needs.",
        "Validation chose the finalists: its scores are no results. Test was answered once, by "
        f"{finalists}. no worse: shown to lie less than {_points(found.margin)} below the "
        f"teachers, one-sided at {100 * LEVEL:g}%, adjusted for {finalists}{held} (Holm).",
        *found.left_out,
    )


def choice_lines(found: Found) -> list[str]:
    """Say which student is chosen, and why."""
    one, margin = found.chosen, _points(found.margin)
    cost, lead = one.point.cost, one.lead_interval
    against = f"{100 * one.lead:+.2f} [{100 * lead.low:+.2f}, {100 * lead.high:+.2f}]"
    if one.is_no_worse:
        why = f"It is the cheapest that fits and is no worse than the teachers by {margin}."
    else:
        why = (
            "It is the best on validation that fits; none that fits is shown to be no worse than "
            f"the teachers by {margin}."
        )
    return _wrapped(
        f"Choice: {one.point.title} ({one.point.runtime}), {cost.p95:.2f} ms, "
        f"{_size(one.point).strip()} MB. {why} On test, minus the teachers: {against} points, "
        "paired.",
    )


def transformer_lines(found: Found) -> list[str]:
    """Answer whether these data need a transformer."""
    ask = "Does this data need a transformer?"
    question = found.question
    if question is None:
        why = "one of the two kinds of students was not among the candidates."
        return _wrapped(f"{ask} Not answered: {why}")
    low, high = (100 * end for end in (question.interval.low, question.interval.high))
    return _wrapped(
        f"{ask} {_verdict(question, found.margin)} On test the transformer that is best on "
        f"validation ({question.transformer.point.title}) has "
        f"{100 * question.transformer.score:.2f} and the static student "
        f"({question.static.point.form}) {100 * question.static.score:.2f}: "
        f"{100 * question.lead:+.2f} [{low:+.2f}, {high:+.2f}] points, paired."
    )


def _verdict(question: TransformerQuestion, margin: float) -> str:
    low = 100 * question.interval.low
    if low > margin:
        return "Yes."
    if question.is_small:
        return f"No: it adds less than {_points(margin)}."
    if low > 0:
        return f"It helps, perhaps by less than {_points(margin)}."
    return "These rows do not decide it."


def _points(number: float) -> str:
    return f"{number:g} point{'' if number == 1 else 's'}"


def _wrapped(*paragraphs: str) -> list[str]:
    return [line for each in paragraphs for line in textwrap.wrap(each, 80, break_on_hyphens=False)]
