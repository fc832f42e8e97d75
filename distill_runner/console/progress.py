"""What a person sees while a stage trains: a live bar, or plain lines where nobody watches."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Protocol

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from distill_runner.console.time_left import Left, roughly

_LINE_SECONDS = 15.0  # between two plain lines
_BAR_WIDE, _BAR_NARROW = 30, 4  # characters
_LONGEST = "loss 0.000  1,000 rows/s  1 min 30 s left, run 1 min 30 s"  # behind the steps

LeftAfter = Callable[[int], Left | None]  # how long it will still take after so many steps


class Bar(Protocol):
    """Shows how far a stage is."""

    def __enter__(self) -> Bar: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
    def show(self, step: int, values: Mapping[str, float]) -> None:
        """Step `step` is done; `values` has `loss` and maybe `rate`, rows a second."""
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
    """A bar for `total` steps of which `start` are done; `line` prints where nobody watches."""
    if console.is_terminal:
        return _LiveBar(console, name, total, start, left)
    return _PlainLines(line, name, total, start, left)


class _LiveBar:
    """One line: the name and the time left always, the loss and the rate where there is room."""

    def __init__(
        self, console: Console, name: str, total: int, start: int, left: LeftAfter
    ) -> None:
        self._left = left
        self._total = total
        self._room = console.width - cell_len(name) - 2  # for the bar and the figures
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
            run = f", run {roughly(known.run)}" if known.run > known.stage else ""
            parts.append(f"{roughly(known.stage)} left{run}")
        more = [f"loss {values['loss']:.3f}"] + ([_rate(values)] if "rate" in values else [])
        self._progress.update(self._task, completed=step, figures=self._fitted(parts, more))

    def _fitted(self, parts: list[str], more: list[str]) -> str:
        """The parts and as many more as leave the bar its room."""
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
            run = f" (the run: about {roughly(known.run)})" if known.run > known.stage else ""
            parts.append(f"about {roughly(known.stage)} left{run}")
        self._line(f"  {self._name}: {', '.join(parts)}")


def _rate(values: Mapping[str, float]) -> str:
    return f"{values['rate']:,.0f} rows/s"
