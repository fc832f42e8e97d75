"""Prints to the terminal, and writes the same lines to the run's log."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import TextIO

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment

from distill_runner.console.printable import escape_controls, on_one_line, wrap_lines
from distill_runner.console.progress import Bar, LeftAfter, open_bar

_LOG_WIDTH = 110


def terminal() -> Console:
    """Return a console as wide as the terminal, or wide enough for tables if redirected."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_LOG_WIDTH)


def escape_renderable(part: RenderableType) -> RenderableType:
    """Escape the control characters of a text or table, but keep rich's colours."""
    return escape_controls(part) if isinstance(part, str) else _Harmless(part)


class _Harmless:
    def __init__(self, part: RenderableType) -> None:
        self._part = part

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self._part, options):
            if segment.control:
                yield segment
            else:
                yield Segment(escape_controls(segment.text), segment.style)


class Screen:
    """Prints to the terminal and into `log.txt`.

    Args:
        folder: the run's folder; None if it does not exist yet (see `keep_log`).
        silent: print nothing to the terminal.
    """

    def __init__(self, folder: Path | None = None, *, silent: bool = False) -> None:
        self.console = Console(quiet=True) if silent else terminal()
        self._opened = time.monotonic()
        self._file: TextIO = StringIO()
        self._log = Console(file=self._file, width=_LOG_WIDTH, highlight=False)
        if folder is not None:
            self.keep_log(folder)

    def keep_log(self, folder: Path) -> None:
        """Move the log, with its lines so far, into a folder; later calls have no effect."""
        if isinstance(said := self._file, StringIO):
            self._file = (folder / "log.txt").open("a", encoding="utf-8")
            self._file.write(said.getvalue())
            self._file.flush()
            self._log.file = self._file

    def print(self, *parts: RenderableType) -> None:
        """Print to terminal and log; square brackets are text, not markup."""
        for part in map(escape_renderable, parts):
            if not isinstance(part, str):
                self._both(part, part)
                continue
            # Lines in files are not wrapped, so that they can be searched.
            fits = self.console.is_terminal
            self._both(wrap_lines(part, self.console.width) if fits else part, part)

    def copyable(self, command: str) -> None:
        """Print a command or a path to terminal and log, without wrapping it."""
        self._both(escape_controls(command), escape_controls(command))

    def _both(self, shown: RenderableType, logged: RenderableType) -> None:
        self.console.print(shown, markup=False, soft_wrap=isinstance(shown, str))
        self._log.print(logged, markup=False, soft_wrap=isinstance(logged, str))
        self._file.flush()

    @property
    def seconds(self) -> float:
        """Seconds since the screen was opened, at the start of the job."""
        return time.monotonic() - self._opened

    def note(self, *parts: RenderableType) -> None:
        """Write to the log only."""
        for part in map(escape_renderable, parts):
            self._log.print(part, markup=False, soft_wrap=isinstance(part, str))

    def bar(self, name: str, *, total: int, start: int, left: LeftAfter | None = None) -> Bar:
        """Open a progress bar in a terminal, or plain lines elsewhere.

        Args:
            left: estimates the time left after a step.
        """
        line: Callable[[str], None] = self.print
        known = left or (lambda _: None)
        return open_bar(
            self.console, line, name=on_one_line(name), total=total, start=start, left=known
        )

    def close(self) -> None:
        """Close the log."""
        self._file.close()


def quiet_libraries() -> None:
    """Disable the progress bars of `datasets`; call it before the library is imported."""
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
