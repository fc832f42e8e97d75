"""A whole search of small students, for tests of `distill frontier`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import distill_runner
from distill_runner.results.schema import RunResult
from distill_runner.search.asked import Asked, read_words
from distill_runner.search.found import Found
from distill_runner.search.report import write_report
from distill_runner.search.search import Measured, measure, search
from support.tiny import SHRUNK

# Without ONNX, whose packages are an extra.
PLAIN = ("frontier.onnx=false", "frontier.int8=false")
WORDS = (
    *SHRUNK, "method=kd", "teacher=bert", "models.bert-base-uncased.layers=2", *PLAIN,
    "frontier.layers=[1,2,3]", "training.epochs=4", "frontier.margin=40",
)  # fmt: skip


@dataclass(frozen=True)
class Searched:
    """A finished search, what it said, and the words of every run it made."""

    asked: Asked
    measured: Measured
    found: Found
    lines: list[str]
    runs: list[tuple[str, ...]]


def search_with(
    words: Sequence[str], runs: list[tuple[str, ...]], *, stop_after: int | None = None
) -> Searched:
    """Search, and write the report.

    Args:
        words: of `distill frontier`.
        runs: gets the words of every run that is made.
        stop_after: press Ctrl-C in place of the run after so many.
    """
    lines: list[str] = []

    def run(given: Sequence[str]) -> RunResult:
        if len(runs) == stop_after:
            raise KeyboardInterrupt
        runs.append(tuple(given))
        return distill_runner.run(given, show=False)

    asked = read_words(words)
    measured = measure(asked, say=lines.append)
    found = search(asked, measured, run, say=lines.append)
    write_report(measured.folder, found)
    return Searched(asked, measured, found, lines, runs)
