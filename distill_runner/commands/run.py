"""`distill-run`: what is typed, carried out.

Nothing heavy is imported until a job starts, so typos are answered at once.
"""

from __future__ import annotations

import shutil
import sys

from distill_runner.commands.launch import Launch
from distill_runner.console.printable import visible, wrapped
from distill_runner.errors import DistillError, Refused


def answer() -> None:
    """Do what `sys.argv` asks for; exit status 1 where it failed, 2 where it was refused."""
    try:
        Launch(sys.argv[1:], owns_process=True).carry_out()
    except DistillError as error:
        print(_readable(error), file=sys.stderr)
        sys.exit(error.exit_status)


def _readable(error: DistillError) -> str:
    """The message; on a terminal its lines end between words, but for a command to be copied."""
    text = f"distill-run: {visible(str(error))}"
    if not sys.stderr.isatty():
        return text
    parts = (error, *error.parts) if isinstance(error, Refused) else ()
    command = "  try:  " if any(part.mend for part in parts) else None
    width = shutil.get_terminal_size().columns
    lines = text.split("\n")
    return "\n".join(
        line if command and line.startswith(command) else wrapped(line, width) for line in lines
    )
