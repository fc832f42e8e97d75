"""Draws docs/figures/wikiqa.svg from the records: python docs/tools/picture.py

A dot is the mean average precision of one seed on WikiQA's test questions, a bar the mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import ceil, floor
from pathlib import Path

from tables import WIKIQA, runs

from distill_runner.evaluation.predictions_file import BASELINE
from distill_runner.report.over_seeds import score_over_seeds

TARGET = Path(__file__).parents[1] / "figures" / "wikiqa.svg"
METHODS = (
    ("no teacher", "one_on_one", BASELINE, False),
    ("one_on_one: one teacher", "one_on_one", "", False),
    ("mkd: three teachers", "mkd", "", False),
    ("tmkd: three teachers, stage 1", "tmkd", "", True),
    ("tkd: one teacher, stage 1", "tkd", "", True),
)
LEFT, WIDTH, TOP, ROW = 244, 640, 52, 34  # pixels
_FONT = 'font-family="system-ui, sans-serif"'


@cache
def each_seed(name: str, model: str) -> tuple[float, ...]:
    """Return the mean average precision of a method in %, seed by seed."""
    found = (score_over_seeds([run], "map", model=model) for run in runs(WIKIQA, name))
    return tuple(100 * one.value for one in found)


@cache
def ends() -> tuple[int, int]:
    """Return both ends of the axis: even numbers around all scores."""
    every = [value for _, name, model, _ in METHODS for value in each_seed(name, model)]
    return 2 * floor(min(every) / 2), 2 * ceil(max(every) / 2)


def across(value: float) -> float:
    """Return the x position of a score, in pixels."""
    low, high = ends()
    return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - 20)


def text(x: float, y: float, words: str, anchor: str, colour: str, size: int = 13) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" font-size="{size}"'
    return f"<text {place} {_FONT}>{words}</text>"


def row(at: int, name: str, found: Sequence[float], *, first_stage: bool) -> list[str]:
    """Draw one method: its name, a dot for each seed, and the mean."""
    middle, colour = TOP + at * ROW + ROW / 2, "#00695c" if first_stage else "#78909c"
    mean = across(sum(found) / len(found))
    dots = [
        f'<circle cx="{across(one):.1f}" cy="{middle}" r="5" fill="{colour}" fill-opacity="0.55"/>'
        for one in found
    ]
    bar = f'<path d="M{mean:.1f} {middle - 11}v22" stroke="{colour}" stroke-width="3"/>'
    return [text(LEFT - 14, middle + 4.5, name, "end", "#37474f"), *dots, bar]


def picture() -> str:
    """Return the whole SVG."""
    height = TOP + len(METHODS) * ROW + 46
    bottom = TOP + len(METHODS) * ROW
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        "<title>Mean average precision on WikiQA, by method and seed</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        text(16, 22, "Three layers of MiniLM on WikiQA", "start", "#263238", 15),
        text(16, 41, "test MAP in %; a dot is a seed, a bar their mean", "start", "#607d8b"),
    ]
    low, high = ends()
    for value in range(low, high + 1, 2):
        x = across(value)
        lines.append(f'<path d="M{x:.1f} {TOP}V{bottom}" stroke="#eceff1" stroke-width="1"/>')
        lines.append(text(x, bottom + 18, str(value), "middle", "#607d8b", 12))
    for at, (title, name, model, first_stage) in enumerate(METHODS):
        lines += row(at, title, each_seed(name, model), first_stage=first_stage)
    source = f"outputs/records/{WIKIQA}"
    lines.append(text(16, bottom + 38, f"drawn from {source}", "start", "#90a4ae", 11))
    return "\n".join([*lines, "</svg>", ""])


if __name__ == "__main__":
    TARGET.write_text(picture(), encoding="utf-8")
