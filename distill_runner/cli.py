"""`distill-run`: help and version at once, everything else by `command`.

Exit status: 0 done, 1 failed, 2 refused, 130 interrupted, 141 where nobody reads on.
"""

from __future__ import annotations

import os
import sys

from distill_runner import __version__

_HELP = ("--help", "-h", "-help", "help", "-?", "/?", "--usage", "--h")
_VERSION = ("--version", "-V", "-version")


def main() -> None:
    """Answer what `sys.argv` asks for."""
    try:
        _answer(sys.argv[1:])
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("distill-run: interrupted; run the same command again to continue", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # As `| head` has it. Python would complain when it closes what it could not write.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


def _answer(words: list[str]) -> None:
    # Imported here: an interrupt is answered while Hydra is imported too.
    if any(word in _HELP for word in words):
        from distill_runner.command_line.help import page

        print(page(), end="")
    elif any(word in _VERSION for word in words):
        print(f"distill-run {__version__}")
    else:
        from distill_runner.commands.run import answer

        answer()


if __name__ == "__main__":
    main()
