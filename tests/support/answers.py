"""Files of answers to the texts of the generated corpus."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from distill_runner.data.synthetic import generate

NAMES = ("negative", "positive")
Answer = dict[str, object]


def probably(label: int) -> Answer:
    """Nearly sure of the label."""
    return {"probabilities": {NAMES[label]: 0.875, NAMES[1 - label]: 0.125}}


def surely(label: int) -> Answer:
    """The label's name."""
    return {"label": NAMES[label]}


def corpus() -> list[tuple[str, int]]:
    """The texts of the shrunk profile, with their labels."""
    return generate(200, 1)


def write_lines(path: Path, lines: Iterable[Answer]) -> Path:
    text = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)
    path.write_text(text, encoding="utf-8")
    return path


def write_answers(
    path: Path,
    rows: Iterable[tuple[str, int]] | None = None,
    answer: Callable[[int], Answer] = probably,
) -> Path:
    """Write an answer for each text; for all of the shrunk profile's if none are given."""
    return write_lines(
        path, ({"text": text} | answer(label) for text, label in rows or dict(corpus()).items())
    )
