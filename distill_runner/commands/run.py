"""Offers `distill-run` as a Python function.

Nothing heavy is imported until a job starts, so that typos are reported immediately.
"""

from __future__ import annotations

from collections.abc import Iterable

from distill_runner.commands.launch import Launch
from distill_runner.errors import Refused, combine_refusals
from distill_runner.results.schema import RunResult

_ONE_RUN = "call run() once for each value; finished stages are found in the store"


def run(overrides: Iterable[str], *, show: bool = True) -> RunResult:
    """Carry out one run, as `distill-run` with the same words does.

    It makes the same checks, writes the same run folder and uses the same store. It can be called
    repeatedly in one process, and in a notebook.

    Args:
        overrides: GROUP=OPTION and KEY=VALUE, such as `["method=kd", "teacher=bert"]`.
        show: print the plan, the progress and the tables; log.txt has them either way.

    Returns:
        The content of `result.json` in the run folder.

    Raises:
        Refused: the request cannot be met, and nothing was trained. Flags, several values of a key
            and `dry_run=true` are refused, since they do not lead to a single result.
        DistillError: the work failed; finished stages are kept.
        KeyboardInterrupt: the run was interrupted; the same call resumes it.
    """
    launch = Launch(_single_run(overrides), show=show, needs_result=True)
    try:
        launch.carry_out()
    except Refused as refused:
        raise _without_sweep(refused) from None
    assert launch.result is not None
    return launch.result


def _single_run(overrides: Iterable[str]) -> list[str]:
    """Turn the overrides into the words of a command.

    Raises:
        Refused: they are not a list of texts, or include a flag.
    """
    words = [overrides] if isinstance(overrides, str) else list(overrides)
    if isinstance(overrides, str) or not all(isinstance(word, str) for word in words):
        raise Refused(
            "run() takes a list of settings.",
            key="overrides",
            value=overrides if isinstance(overrides, str) else words,
            rule="texts GROUP=OPTION and KEY=VALUE",
            way_out='run(["method=kd", "teacher=bert"])',
        )
    for word in words:
        if word.startswith("-"):
            raise Refused(
                f"run() takes no flag, and {word!r} is one.",
                key="overrides",
                value=words,
                rule="one run at a time: GROUP=OPTION and KEY=VALUE",
                way_out=_ONE_RUN,
            )
    return words


def _without_sweep(refused: Refused) -> Refused:
    """Replace a suggestion to sweep, which is a flag of the command."""
    if refused.parts:
        return combine_refusals([_without_sweep(part) for part in refused.parts])
    if "-m " in (refused.way_out or ""):
        return refused.with_way_out(_ONE_RUN)
    return refused
