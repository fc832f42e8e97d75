"""Entry point of `distill`: everything before and after a training. Each verb has its own module.

A verb imports what it needs when it is called, so that help answers at once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Annotated

import typer

from distill_runner import __version__
from distill_runner.commands.cascade import cascade
from distill_runner.commands.check import check
from distill_runner.commands.export import export
from distill_runner.commands.frontier import frontier
from distill_runner.commands.predict import predict
from distill_runner.commands.teach import teach
from distill_runner.console.program import run_program

main = typer.Typer(
    name="distill",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
# Each verb with the advice after an interrupt.
_VERBS: dict[Callable[..., None], str] = {
    check: "nothing was written",
    predict: "what was written so far is kept; the same command goes on",
    export: "nothing was written",
    frontier: "what is trained is kept; the same command goes on",
    cascade: "nothing was written",
    teach: "nothing was written",
}


def _print_version(asked: bool) -> None:
    if asked:
        print(f"distill {__version__}")
        raise typer.Exit


@main.callback()
def _distill(
    version: Annotated[
        bool,
        typer.Option("--version", "-V", callback=_print_version, is_eager=True, help="Print it."),
    ] = False,
) -> None:
    """Check data, and use what distill-run has trained."""


def _add(verb: Callable[..., None], *, interrupted: str) -> None:
    """Add a verb, whose errors become one message and an exit status."""

    @wraps(verb)
    def guarded(**given: object) -> None:
        run_program("distill", lambda: verb(**given), interrupted=interrupted)

    main.command(no_args_is_help=True)(guarded)


for _verb, _advice in _VERBS.items():
    _add(_verb, interrupted=_advice)
