"""Shows on standard error how many rows are done: a line that changes, or a line now and then."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from distill_runner.console.printable import on_one_line
from distill_runner.console.time_left import format_estimate

_LINE_SECONDS, _REDRAW_SECONDS = 15.0, 0.2
_CLEAR = "\r\x1b[K"


class RowProgress:
    """The progress of rows.

    Args:
        what: what is done with them, such as "predicting".
    """

    def __init__(self, what: str) -> None:
        self._what = on_one_line(what)
        self._terminal = sys.stderr.isatty()
        self._first: tuple[int, float] | None = None
        self._last = time.monotonic()

    def __enter__(self) -> RowProgress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._terminal:
            print(_CLEAR, end="", file=sys.stderr, flush=True)

    def show(self, done: int, total: int | None) -> None:
        """Report the rows that are done, and of how many (None: unknown)."""
        now = time.monotonic()
        if self._first is None:
            self._first = done, now
        elif now - self._last < (_REDRAW_SECONDS if self._terminal else _LINE_SECONDS):
            return
        self._last = now
        line = self._line(done, total, now)
        if self._terminal:
            print(f"{_CLEAR}{line}", end="", file=sys.stderr, flush=True)
        elif done > self._first[0]:
            print(line, file=sys.stderr, flush=True)

    def _line(self, done: int, total: int | None, now: float) -> str:
        assert self._first is not None
        start, began = self._first
        parts = [f"{self._what}: {done:,}" + (f" of {total:,} rows" if total else " rows")]
        if done > start and now > began:
            rate = (done - start) / (now - began)
            parts.append(f"{rate:,.0f} rows/s")
            if total and total > done:
                parts.append(f"{format_estimate((total - done) / rate)} left")
        return ", ".join(parts)
