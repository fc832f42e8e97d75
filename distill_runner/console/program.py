"""Runs the body of a command: its errors become one message and an exit status.

Exit status: 0 done, 1 failed, 2 refused, 130 interrupted, 141 if the output pipe was closed.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable

from distill_runner.console.printable import escape_controls, wrap_lines
from distill_runner.errors import DistillError, Refused


def run_program(name: str, body: Callable[[], None], *, interrupted: str) -> None:
    """Run `body`; exit with its status unless all is done.

    Args:
        name: the command's name, which begins each message.
        body: the command's work.
        interrupted: the advice after an interrupt.
    """
    try:
        body()
        sys.stdout.flush()
    except DistillError as error:
        print(_readable(name, error), file=sys.stderr)
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        print(f"{name}: interrupted; {interrupted}", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # As under `| head`. Python would otherwise complain when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


def _readable(name: str, error: DistillError) -> str:
    """Return the message; in a terminal, wrap its lines, except commands to be copied."""
    text = f"{name}: {escape_controls(str(error))}"
    if not sys.stderr.isatty():
        return text
    parts = (error, *error.parts) if isinstance(error, Refused) else ()
    command = "  try:  " if any(part.mend for part in parts) else None
    width = shutil.get_terminal_size().columns
    lines = text.split("\n")
    return "\n".join(
        line if command and line.startswith(command) else wrap_lines(line, width) for line in lines
    )
