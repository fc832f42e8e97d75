"""Shows training progress: a live bar in a terminal, plain lines everywhere else."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Protocol

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from distill_runner.console.time_left import TimeLeft, format_estimate

_LINE_SECONDS = 15.0  # between two plain lines
_BAR_WIDE, _BAR_NARROW = 30, 4  # characters
_LONGEST = "loss 0.000  1,000 rows/s  1 min 30 s left, run 1 min 30 s"  # after the steps

LeftAfter = Callable[[int], TimeLeft | None]  # estimates the time left after a step


class Bar(Protocol):
    """Shows the progress of a stage."""

    def __enter__(self) -> Bar: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
    def show(self, step: int, values: Mapping[str, float]) -> None:
        """Report that `step` is done; `values` has `loss`, and may have `rate` in rows/s."""
        ...


def open_bar(
    console: Console,
    line: Callable[[str], None],
    *,
    name: str,
    total: int,
    start: int,
    left: LeftAfter,
) -> Bar:
    """Open a bar for `total` steps of which `start` are done.

    Args:
        console: where the bar is shown.
        line: prints the plain lines if the console is not a terminal.
        name: of the stage.
        total: optimiser steps of the stage.
        start: steps that are already done.
        left: estimates the time left.
    """
    if console.is_terminal:
        return _LiveBar(console, name, total, start, left)
    return _PlainLines(line, name, total, start, left)


class _LiveBar:
    """A single line: name and time left, then loss and rate if they fit."""

    def __init__(
        self, console: Console, name: str, total: int, start: int, left: LeftAfter
    ) -> None:
        self._left = left
        self._total = total
        self._room = console.width - cell_len(name) - 2  # cells for the bar and the numbers
        longest = f"{total:,}/{total:,}  {_LONGEST}"
        self._bar_width = min(_BAR_WIDE, max(_BAR_NARROW, self._room - len(longest)))
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(self._bar_width),
            TextColumn("{task.fields[figures]}", markup=False),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task(
            name, total=total, completed=start, figures=f"{start:,}/{total:,}"
        )

    def __enter__(self) -> _LiveBar:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def show(self, step: int, values: Mapping[str, float]) -> None:
        parts, known = [f"{step:,}/{self._total:,}"], self._left(step)
        if known is not None:
            run = f", run {format_estimate(known.run)}" if known.run > known.stage else ""
            parts.append(f"{format_estimate(known.stage)} left{run}")
        more = [f"loss {values['loss']:.3f}"] + ([_rate(values)] if "rate" in values else [])
        self._progress.update(self._task, completed=step, figures=self._fitted(parts, more))

    def _fitted(self, parts: list[str], more: list[str]) -> str:
        """Join the parts, and as many of `more` as fit next to the bar."""
        while more and len("  ".join([*parts, *more])) + self._bar_width > self._room:
            more = more[:-1]
        return "  ".join([*parts[:1], *more, *parts[1:]])


class _PlainLines:
    def __init__(
        self, line: Callable[[str], None], name: str, total: int, start: int, left: LeftAfter
    ) -> None:
        self._line = line
        self._name = name
        self._total = total
        self._start = start
        self._left = left
        self._last = time.monotonic()

    def __enter__(self) -> _PlainLines:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def show(self, step: int, values: Mapping[str, float]) -> None:
        now = time.monotonic()
        if now - self._last < _LINE_SECONDS or step == self._start:
            return
        self._last = now
        parts = [f"step {step:,} of {self._total:,}", f"loss {values['loss']:.4f}"]
        parts += [_rate(values)] if "rate" in values else []
        known = self._left(step)
        if known is not None:
            run = (
                f" (the run: about {format_estimate(known.run)})" if known.run > known.stage else ""
            )
            parts.append(f"about {format_estimate(known.stage)} left{run}")
        self._line(f"  {self._name}: {', '.join(parts)}")


def _rate(values: Mapping[str, float]) -> str:
    return f"{values['rate']:,.0f} rows/s"
