"""The figures of an export: one column for each form of the student."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from distill_runner.export.checks import Check
from distill_runner.export.timing import BATCH, Times
from distill_runner.results.schema import RunResult


@dataclass(frozen=True)
class Form:
    """One form of the student, with what was measured of it.

    Attributes:
        name: its column.
        file: its file or folder inside the export; None: the run's own student.
        size: bytes of its weights.
        memory: peak resident memory of a process that answers with it, in bytes.
    """

    name: str
    file: str | None
    size: int
    check: Check
    times: Times
    memory: int


@dataclass(frozen=True)
class CutFigures:
    """What a cut of the vocabulary changed.

    Attributes:
        before, after: tokens of the vocabulary.
        decided: texts that decided what is kept.
        at_least: how often a token had to occur in them.
        compared, largest: how many of those texts were answered again, and the largest
            difference of a logit.
        other_tokens, rows: validation rows that are cut into other tokens, of how many.
        unknown_before, unknown_after: tokens for unknown words in the validation rows.
    """

    before: int
    after: int
    decided: int
    at_least: int
    compared: int
    largest: float
    other_tokens: int
    rows: int
    unknown_before: int
    unknown_after: int


_LEFT, _WIDTH = 21, 9  # characters of the first column, and of each other one


def figures(result: RunResult, forms: Sequence[Form]) -> list[list[str]]:
    """Return the table's rows: a heading, then a row for each figure."""
    own = forms[0].name
    percent = f"{result.primary_metric}, %"
    rows = [
        ["", *(form.name for form in forms)],
        [percent[:_LEFT], *(f"{100 * form.check.score:.2f}" for form in forms)],
        [f"  minus {own}", *_leads(forms)],
        ["  95% interval, from", *_ends(forms, "low")],
        ["  to", *_ends(forms, "high")],
        ["labels changed", *(_changed(form) for form in forms)],
        ["largest logit gap", *(_gap(form) for form in forms)],
        ["one text, p50 ms", *(f"{form.times.p50:.2f}" for form in forms)],
        ["one text, p95 ms", *(f"{form.times.p95:.2f}" for form in forms)],
        [f"rows/s, {BATCH} at once", *(f"{form.times.rows_per_second:.0f}" for form in forms)],
        ["file, MB", *(_size(form.size) for form in forms)],
        ["peak memory, MB", *(f"{form.memory / 1e6:.0f}" for form in forms)],
    ]
    scores = forms[0].check.changed is None
    return [row for row in rows if not (scores and row[0] == "labels changed")]


def _leads(forms: Sequence[Form]) -> list[str]:
    return ["–", *(f"{100 * form.check.difference:+.2f}" for form in forms[1:])]


def _ends(forms: Sequence[Form], end: str) -> list[str]:
    return ["–", *(f"{100 * getattr(form.check.lead, end):+.2f}" for form in forms[1:])]


def _changed(form: Form) -> str:
    return "–" if form.file is None else str(form.check.changed)


def _gap(form: Form) -> str:
    return "–" if form.file is None else f"{form.check.largest:.1g}"


def _size(size: int) -> str:
    return f"{size / 1e6:.1f}" if size >= 1e6 else f"{size / 1e6:.2f}"


def plain_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay the figures out in lines of at most 80 characters."""
    lines = [
        f"{first:<{_LEFT}}" + "".join(f"{one:>{_WIDTH}}" for one in others)
        for first, *others in rows
    ]
    return [lines[0], "─" * max(map(len, lines)), *lines[1:]]


def markdown_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay the figures out as a Markdown table."""
    head, *others = rows
    rule = "|---|" + "---:|" * (len(head) - 1)
    return [_line(head), rule, *map(_line, others)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.strip() for cell in cells)} |"


def cut_lines(cut: CutFigures) -> list[str]:
    """Say what the cut of the vocabulary changed."""
    often = "once" if cut.at_least == 1 else f"{cut.at_least} times"
    return [
        f"Vocabulary: {cut.before:,} tokens, {cut.after:,} after the cut: single characters,",
        f"  special tokens and those seen at least {often} in {cut.decided:,} texts.",
        f"  Largest logit gap on {cut.compared:,} of these texts: {cut.largest:.1g}.",
        f"  Validation rows cut into other tokens: {cut.other_tokens:,} of {cut.rows:,};",
        f"  tokens for unknown words: {cut.unknown_before:,} before, {cut.unknown_after:,} after.",
    ]


def measured_how(rows: int) -> list[str]:
    """Say how the figures were measured."""
    return [
        f"Scores and gaps on all {rows:,} validation rows, paired by row; times taken in",
        "turns on one thread, with tokenising; memory of a fresh process for each.",
    ]
