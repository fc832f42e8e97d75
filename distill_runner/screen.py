"""What a person reads: the terminal, and the same lines in the run's log."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import TextIO

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment

from distill_runner.progress import Bar, open_bar
from distill_runner.visible import on_one_line, visible

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
        # A sentence is not broken at the width: a path in it is there to be copied.
        plain = all(isinstance(part, str) for part in parts)
        shown = [harmless(part) for part in parts]
        for console in (self.console, self._log):
            console.print(*shown, markup=False, soft_wrap=plain)
        self._file.flush()

    def note(self, *parts: RenderableType) -> None:
        """Write to the log alone."""
        self._log.print(*(harmless(part) for part in parts), markup=False)

    def bar(self, name: str, *, total: int, start: int) -> Bar:
        """A progress bar for the terminal, or plain lines for it and for the log."""
        line: Callable[[str], None] = self.print
        return open_bar(self.console, line, name=on_one_line(name), total=total, start=start)

    def close(self) -> None:
        self._file.close()


def quiet_libraries() -> None:
    """Keep the libraries' own bars and notices off the screen; errors still show."""
    import datasets
    import transformers

    datasets.disable_progress_bars()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
