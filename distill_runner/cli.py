"""Entry point of `distill-run`: prints help and version, and hands the rest to `commands.run`."""

from __future__ import annotations

import sys

from distill_runner import __version__
from distill_runner.console.program import run_program

_HELP = ("--help", "-h", "-help", "help", "-?", "/?", "--usage", "--h")
_VERSION = ("--version", "-V", "-version")


def main() -> None:
    """Run the command in `sys.argv`."""
    run_program("distill-run", _carry_out, interrupted="run the same command again to continue")


def _carry_out() -> None:
    words = sys.argv[1:]
    # Imported here, so that an interrupt while Hydra is imported is handled as well.
    if any(word in _HELP for word in words):
        from distill_runner.command_line.help import page

        print(page(), end="")
    elif any(word in _VERSION for word in words):
        print(f"distill-run {__version__}")
    else:
        from distill_runner.commands.launch import Launch

        Launch(words, owns_process=True).carry_out()


if __name__ == "__main__":
    main()
