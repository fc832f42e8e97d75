"""Draws frontier.svg: the score against milliseconds and against megabytes.

A finalist is a filled shape with its test score and interval; any other trained form is a small
outline with its validation score. Squares are static students, circles have layers, and the number
beside them says how many. A line joins the finalists on the frontier of the test scores.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape

from distill_runner.search.found import Found
from distill_runner.search.points import Cost, Finalist, Trained

_PANEL, _HEIGHT, _LEFT, _TOP, _BETWEEN = 400, 300, 64, 76, 76  # pixels
_WIDTH = _LEFT + 2 * _PANEL + _BETWEEN + 20
_WHOLE = _TOP + _HEIGHT + 104
_FONT = 'font-family="system-ui, sans-serif"'
_HALO = 'paint-order="stroke" stroke="#ffffff" stroke-width="3"'  # legible on lines
_INK, _PALE, _GRID = "#1a1a1a", "#6b6b6b", "#e4e4e4"


@dataclass(frozen=True)
class _Axis:
    """A scale from values to pixels; `logarithmic` for costs."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """Return the pixel of a value."""
        low, high, value = (
            (math.log10(each) if self.logarithmic else each)
            for each in (self.low, self.high, value)
        )
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Return round values along the axis."""
        if not self.logarithmic:
            step = _round_step((self.high - self.low) / 5)
            first = math.ceil(self.low / step)
            return [at * step for at in range(first, math.floor(self.high / step) + 1)]
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        found = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
        inside = [value for value in found if self.low <= value <= self.high]
        return inside if len(inside) <= 7 else [one for one in inside if f"{one:e}"[0] == "1"]


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(each * power for each in (1, 2, 5, 10) if each * power >= rough)


def picture(found: Found) -> str:
    """Return the whole SVG."""
    title = f"{found.data}: {found.metric} of the students"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_WHOLE}" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{_WHOLE}" fill="#ffffff"/>',
        _text(16, 26, title, size=16),
        _text(16, 48, f"{found.metric} in %, against time and size; both on logarithmic axes",
              colour=_PALE),
    ]  # fmt: skip
    scores = _score_axis(found)
    lines += _panel(
        found, scores, _LEFT, "milliseconds a text, p95", lambda c: c.p95, found.budget.ms
    )
    second = _LEFT + _PANEL + _BETWEEN
    lines += _panel(found, scores, second, "megabytes", lambda c: c.megabytes, found.budget.mb)
    return "\n".join([*lines, *_legend(found), "</svg>", ""])


def _score_axis(found: Found) -> _Axis:
    values = [100 * one.score for one in found.trained]
    for one in found.tested:
        values += [100 * one.interval.low, 100 * one.interval.high]
    values.append(100 * found.teachers.score)
    low, high = min(values), max(values)
    room = max(0.06 * (high - low), 0.5)
    return _Axis(low - room, high + room, _TOP + _HEIGHT, _TOP)


def _panel(
    found: Found,
    scores: _Axis,
    left: float,
    unit: str,
    cost: Callable[[Cost], float],
    limit: float | None,
) -> Iterator[str]:
    values = [cost(one.point.cost) for one in found.trained]
    values += [] if limit is None else [limit]
    costs = _Axis(min(values) / 1.3, max(values) * 1.3, left, left + _PANEL, logarithmic=True)
    yield from _grid(scores, costs, left, unit)
    teachers = scores.at(100 * found.teachers.score)
    yield _line(left, teachers, left + _PANEL, teachers, dashed="2 4")
    yield _text(left + _PANEL - 4, teachers - 5, "teachers together", "end", _PALE, 11)
    if limit is not None:
        yield _line(costs.at(limit), _TOP, costs.at(limit), _TOP + _HEIGHT, dashed="7 4")
        yield _text(costs.at(limit) - 5, _TOP + 12, f"budget {limit:g}", "end", _PALE, 11)
    names = {one.point.name for one in found.tested}
    yield _steps(found, costs, scores, cost)
    for one in found.trained:
        if one.point.name not in names:
            yield _outline(one, costs.at(cost(one.point.cost)), scores.at(100 * one.score))
    for each in found.tested:
        yield from _finalist(each, costs.at(cost(each.point.cost)), scores, found)
    for each in found.tested:
        yield _label(each, costs.at(cost(each.point.cost)), scores.at(100 * each.score))


def _grid(scores: _Axis, costs: _Axis, left: float, unit: str) -> Iterator[str]:
    for value in scores.ticks():
        y = scores.at(value)
        yield _line(left, y, left + _PANEL, y, colour=_GRID)
        yield _text(left - 8, y + 4, f"{value:g}", "end", _PALE, 12)
    for value in costs.ticks():
        x = costs.at(value)
        yield _line(x, _TOP, x, _TOP + _HEIGHT, colour=_GRID)
        yield _text(x, _TOP + _HEIGHT + 18, f"{value:g}", "middle", _PALE, 12)
    yield _text(left + _PANEL / 2, _TOP + _HEIGHT + 38, unit, "middle", _PALE, 12)


def _steps(found: Found, costs: _Axis, scores: _Axis, cost: Callable[[Cost], float]) -> str:
    """Draw the best test score that each cost buys, as stairs."""
    best, places = -math.inf, []
    for one in sorted(found.tested, key=lambda one: cost(one.point.cost)):
        if one.score > best:
            best = one.score
            places.append((costs.at(cost(one.point.cost)), scores.at(100 * one.score)))
    path = "".join(
        f"M{x:.1f} {y:.1f}" if at == 0 else f"H{x:.1f}V{y:.1f}" for at, (x, y) in enumerate(places)
    )
    return f'<path d="{path}" fill="none" stroke="{_INK}" stroke-width="1.2"/>'


def _finalist(one: Finalist, x: float, scores: _Axis, found: Found) -> Iterator[str]:
    y = scores.at(100 * one.score)
    ends = [scores.at(100 * end) for end in (one.interval.low, one.interval.high)]
    yield _line(x, ends[0], x, ends[1], width=1)
    yield _shape(x, y, 6, one.point.variant.is_static, fill=_INK)
    if one is found.chosen:
        ring = f'fill="none" stroke="{_INK}" stroke-width="2"'
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="11" {ring}/>'


def _label(one: Finalist, x: float, y: float) -> str:
    layers = one.point.variant.layers
    name = one.point.form if not layers else f"{layers}, {one.point.form}"
    return _text(x + 10, y - 9, name, size=11)


def _outline(one: Trained, x: float, y: float) -> str:
    return _shape(x, y, 3, one.point.variant.is_static, fill="#ffffff")


def _shape(x: float, y: float, half: float, square: bool, *, fill: str) -> str:
    style = f'fill="{fill}" stroke="{_INK}" stroke-width="1"'
    if not square:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{half}" {style}/>'
    side = 2 * half
    return f'<rect x="{x - half:.1f}" y="{y - half:.1f}" width="{side}" height="{side}" {style}/>'


def _legend(found: Found) -> list[str]:
    top = _TOP + _HEIGHT + 64
    chosen = f"circled: the choice, {found.chosen.point.title}"
    return [
        _shape(24, top - 4, 6, True, fill=_INK),
        _shape(42, top - 4, 6, False, fill=_INK),
        _text(
            56,
            top,
            "finalist, test score with 95% interval: static; with layers, as many as the number",
        ),
        _shape(24, top + 18, 3, True, fill="#ffffff"),
        _shape(42, top + 18, 3, False, fill="#ffffff"),
        _text(56, top + 22, f"other form, validation score (validation chose); {chosen}"),
    ]


def _text(
    x: float, y: float, words: str, anchor: str = "start", colour: str = _INK, size: int = 13
) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" font-size="{size}"'
    return f"<text {place} {_FONT} {_HALO}>{escape(words)}</text>"


def _line(
    x1: float,
    y1: float,
    x2: float,
    y2: float,
    *,
    colour: str = _PALE,
    dashed: str | None = None,
    width: float = 1,
) -> str:
    dashes = "" if dashed is None else f' stroke-dasharray="{dashed}"'
    ends = f"M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"
    return f'<path d="{ends}" stroke="{colour}" stroke-width="{width:g}"{dashes}/>'
