"""Types a `distill` command, in this process."""

from __future__ import annotations

from dataclasses import dataclass

from typer.testing import CliRunner

from distill_runner.commands.distill import main


@dataclass(frozen=True)
class Typed:
    """How a command ended, and what it wrote."""

    status: int
    out: str
    err: str


def distill(*words: object) -> Typed:
    """Type `distill WORDS`."""
    found = CliRunner().invoke(main, [str(word) for word in words])
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    return Typed(found.exit_code, found.stdout, found.stderr)
