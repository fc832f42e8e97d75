"""What a person sees while a stage trains: a live bar, or plain lines where nobody watches."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

_LINE_SECONDS = 15.0  # between two plain lines


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
        """Step `step` is done; `values` has at least `loss` and `rate`, examples per second."""
        ...


def open_bar(
    console: Console, line: Callable[[str], None], *, name: str, total: int, start: int
) -> Bar:
    """A bar for `total` steps of which `start` are done; `line` prints where nobody watches."""
    if console.is_terminal:
        return _LiveBar(console, name, total, start)
    return _PlainLines(line, name, total, start)


class _LiveBar:
    def __init__(self, console: Console, name: str, total: int, start: int) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task(name, total=total, completed=start, figures="")

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
        self._progress.update(self._task, completed=step, figures=_figures(values))


class _PlainLines:
    def __init__(self, line: Callable[[str], None], name: str, total: int, start: int) -> None:
        self._line = line
        self._name = name
        self._total = total
        self._start = start
        self._began = self._last = time.monotonic()

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
        left = (now - self._began) / (step - self._start) * (self._total - step)
        self._line(
            f"  {self._name}  step {step}/{self._total}  {_figures(values)}  {left:.0f} s left"
        )


def _figures(values: Mapping[str, float]) -> str:
    return f"loss {values['loss']:.4f}  {values['rate']:.0f} examples/s"
