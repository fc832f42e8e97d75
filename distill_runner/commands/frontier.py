"""`distill frontier`: the smallest and fastest student that a budget allows."""

from __future__ import annotations

import shlex
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from distill_runner.errors import Refused, combine_refusals, typeable

if TYPE_CHECKING:
    from distill_runner.search.asked import Asked
    from distill_runner.search.found import Found

_ONE = "one value; type the command again for another"


def frontier(
    overrides: Annotated[
        list[str],
        typer.Argument(metavar="OVERRIDES...", help="As for distill-run; and budget.*, frontier.*"),
    ],
) -> None:
    """Find the smallest and fastest student that a budget allows.

    It trains students of the first teacher's model, from none of its layers to six, and measures
    each as it is, as ONNX, in int8 and with a smaller vocabulary. Such as:

    distill frontier method=kd teacher=bert budget.ms=5 budget.mb=30
    """
    from distill_runner.console.screen import quiet_libraries

    quiet_libraries()
    _check_words(overrides)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries; ours are printed
        _search(overrides)


def _search(overrides: list[str]) -> None:
    from distill_runner.commands.run import run
    from distill_runner.search.asked import read_words
    from distill_runner.search.report import lines_of, write_report
    from distill_runner.search.search import measure, search
    from distill_runner.search.table import points_table

    asked = read_words(overrides)
    _check_run(asked)
    measured = measure(asked, say=_say)
    if asked.composed.settings.dry_run:
        _say("\n".join([*points_table(measured.points, measured.fitting), *measured.left_out]))
        _say(f"\nOf {len(measured.points)} forms {len(measured.fitting)} fit. To search:")
        _say(f"  {typeable(['distill', 'frontier', *_without_dry_run(overrides)])}")
        return
    found = search(asked, measured, lambda words: run(words, show=False), say=_say)
    write_report(measured.folder, found)
    _say("\n".join(["", *lines_of(found)]))
    _say(f"\nTable, picture and commands: {found.folder}")
    _deliver(found)


def _without_dry_run(words: list[str]) -> list[str]:
    return [word for word in words if not word.startswith("dry_run=")]


def _say(line: str) -> None:
    print(line, flush=True)


def _check_words(words: list[str]) -> None:
    """Refuse words that `distill-run` would refuse.

    Raises:
        Refused: with a way out that works.
    """
    from distill_runner.commands.verified_suggestions import fault_of, with_way_out
    from distill_runner.config.compose import register_schema

    register_schema()
    fault = fault_of(words)
    if fault is not None:
        raise _without_sweep(with_way_out(fault, words))


def _without_sweep(refused: Refused) -> Refused:
    """Replace a suggestion to sweep, which is a flag of `distill-run`."""
    if refused.parts:
        return combine_refusals([_without_sweep(part) for part in refused.parts])
    way_out = refused.way_out or ""
    if "-m " not in way_out:
        return refused
    return refused.with_way_out(way_out.partition(", or -m ")[0] if ", or -m " in way_out else _ONE)


def _check_run(asked: Asked) -> None:
    """Refuse what the students' runs would refuse, such as keys that nothing reads."""
    from distill_runner.commands.launch import Launch
    from distill_runner.search.points import Variant

    first = Variant(min(asked.frontier.layers, default=0), asked.limits[0])
    words = asked.words_for(first, steps=None, folder=asked.folder / "unused")
    Launch([*words, "dry_run=true"], show=False).carry_out()


def _deliver(found: Found) -> None:
    """Export the choice, and print the next command."""
    from distill_runner.export.export import export
    from distill_runner.search.forms import wanted_export

    words, chosen = found.words[found.chosen.point.variant], found.chosen.point
    run = next(word.partition("=")[2] for word in words if word.startswith("output_dir="))
    _say("\nThe command that makes the chosen student again:")
    _say(f"  {found.command(chosen.variant)}")
    wanted = wanted_export(chosen.form)
    if wanted is None:
        _say(f"\nStudent, with its card: {run}/student")
        _say(f"Next:\n  distill predict {shlex.quote(run)} FILE --text COLUMN")
        return
    _say("\nexporting it")
    exported = export(Path(run), wanted, output=None, say=_say)
    file = next(form.file for form in reversed(exported.forms) if form.file is not None)
    _say(f"\nExport, with its card: {exported.folder}")
    if not file.endswith(".onnx"):
        _say(f"Next:\n  distill predict {shlex.quote(run)} FILE --text COLUMN")
        return
    script = str(exported.folder / "serve_onnx.py")
    _say(f"Next:\n  {typeable(['python', script, '--model', file, 'a text'])}")
