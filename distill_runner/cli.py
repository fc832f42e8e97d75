"""Entry point of `distill-run`: prints help and version, and hands the rest to `commands.run`.

Exit status: 0 done, 1 failed, 2 refused, 130 interrupted, 141 if the output pipe was closed.
"""

from __future__ import annotations

import os
import sys

from distill_runner import __version__

_HELP = ("--help", "-h", "-help", "help", "-?", "/?", "--usage", "--h")
_VERSION = ("--version", "-V", "-version")


def main() -> None:
    """Run the command in `sys.argv`."""
    try:
        _carry_out(sys.argv[1:])
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("distill-run: interrupted; run the same command again to continue", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # As under `| head`. Python would otherwise complain when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


def _carry_out(words: list[str]) -> None:
    # Imported here, so that an interrupt while Hydra is imported is handled as well.
    if any(word in _HELP for word in words):
        from distill_runner.command_line.help import page

        print(page(), end="")
    elif any(word in _VERSION for word in words):
        print(f"distill-run {__version__}")
    else:
        from distill_runner.commands.run import main as run

        run()


if __name__ == "__main__":
    main()
