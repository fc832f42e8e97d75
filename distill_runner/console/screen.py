"""What a person reads: the terminal, and the same lines in the run's log."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import TextIO

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment

from distill_runner.console.printable import on_one_line, visible, wrapped
from distill_runner.console.progress import Bar, LeftAfter, open_bar

_LOG_WIDTH = 110


def terminal() -> Console:
    """The terminal at its own width; a pipe or a file at a width that tables fit in."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_LOG_WIDTH)


def harmless(part: RenderableType) -> RenderableType:
    """A text or a table whose own words a terminal will not obey; rich's colours stay."""
    return visible(part) if isinstance(part, str) else _Harmless(part)


class _Harmless:
    def __init__(self, part: RenderableType) -> None:
        self._part = part

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self._part, options):
            if segment.control:
                yield segment
            else:
                yield Segment(visible(segment.text), segment.style)


class Screen:
    """Prints to the terminal and into `log.txt`.

    Args:
        folder: of the run; None while there is none: see `keep_log`.
        silent: show nothing on the terminal.
    """

    def __init__(self, folder: Path | None = None, *, silent: bool = False) -> None:
        self.console = Console(quiet=True) if silent else terminal()
        self._opened = time.monotonic()
        self._file: TextIO = StringIO()
        self._log = Console(file=self._file, width=_LOG_WIDTH, highlight=False)
        if folder is not None:
            self.keep_log(folder)

    def keep_log(self, folder: Path) -> None:
        """Write the log into a folder, with the lines so far; once."""
        if isinstance(said := self._file, StringIO):
            self._file = (folder / "log.txt").open("a", encoding="utf-8")
            self._file.write(said.getvalue())
            self._file.flush()
            self._log.file = self._file

    def print(self, *parts: RenderableType) -> None:
        """Print to both; square brackets are text, not markup."""
        for part in map(harmless, parts):
            if not isinstance(part, str):
                self._both(part, part)
                continue
            # A file keeps its lines whole, to be searched; a path stays whole on a terminal too.
            fits = self.console.is_terminal
            self._both(wrapped(part, self.console.width) if fits else part, part)

    def copyable(self, command: str) -> None:
        """Print a command or a path to both, on a line that nothing breaks."""
        self._both(visible(command), visible(command))

    def _both(self, shown: RenderableType, logged: RenderableType) -> None:
        self.console.print(shown, markup=False, soft_wrap=isinstance(shown, str))
        self._log.print(logged, markup=False, soft_wrap=isinstance(logged, str))
        self._file.flush()

    @property
    def seconds(self) -> float:
        """Since the screen was opened, at the job's beginning."""
        return time.monotonic() - self._opened

    def note(self, *parts: RenderableType) -> None:
        """Write to the log alone."""
        for part in map(harmless, parts):
            self._log.print(part, markup=False, soft_wrap=isinstance(part, str))

    def bar(self, name: str, *, total: int, start: int, left: LeftAfter | None = None) -> Bar:
        """A progress bar for the terminal, or plain lines for it and for the log.

        Args:
            left: how long it will still take after so many steps.
        """
        line: Callable[[str], None] = self.print
        known = left or (lambda _: None)
        return open_bar(
            self.console, line, name=on_one_line(name), total=total, start=start, left=known
        )

    def close(self) -> None:
        self._file.close()


def quiet_libraries() -> None:
    """Keep the bars of `datasets` off the screen, whoever imports it; call it before that."""
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
