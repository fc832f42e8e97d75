"""Writes the last lines of a run: how long it took, and what to type next."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

from distill_runner.console.names import format_count
from distill_runner.console.time_left import duration
from distill_runner.results.schema import RunResult

_SEEDS = 3
# Not repeated in the next command: its folder and seed differ, and nothing is forced.
_OF_THIS_RUN = ("seed", "output_dir", "force", "dry_run")


def took_line(result: RunResult, seconds: float) -> str:
    """Return the wall-clock time, the time spent on training, and the stages found in the store."""
    stages = result.stages
    trained = [stage for stage in stages.values() if stage.trained_now]
    teachers = sum(stage.training_seconds for stage in trained if "teacher" in stage.role)
    together = sum(stage.training_seconds for stage in trained)
    both = (("teachers", teachers), ("students", together - teachers))
    parts = [f"{who} {duration(each)}" for who, each in both if each]
    parts += ["partly side by side"] if together > seconds else []
    training = f" (training: {', '.join(parts)})" if parts else ""
    line = f"Done in {duration(seconds)}{training}."
    found = len(stages) - len(trained)
    if not found:
        return line
    if not trained:
        return f"{line} All stages were found in the store."
    verb = "was" if found == 1 else "were"
    return f"{line} {found} of {format_count(len(stages), 'stage')} {verb} found in the store."


def next_steps(result: RunResult, folder: Path) -> list[tuple[str, str]]:
    """Suggest next steps, each with a command that works in the current folder.

    Args:
        result: of the finished run.
        folder: the run folder, as it is shown.
    """
    return [
        (f"Compare {_SEEDS} seeds", _over_seeds(result)),
        ("Ask the student", _asking(result, folder)),
        ("Label a file", _labelling(result, folder)),
    ]


def _over_seeds(result: RunResult) -> str:
    # The search path is not among the overrides, but the chosen options may come from it.
    options = [word for word in sys.argv[1:] if word.startswith("hydra.searchpath=")]
    kept = options + [one for one in result.overrides if one.partition("=")[0] not in _OF_THIS_RUN]
    seeds = ",".join(str(result.seed + at) for at in range(_SEEDS))
    return f"{command()} -m {' '.join(map(shlex.quote, [*kept, f'seed={seeds}']))}"


def _asking(result: RunResult, folder: Path) -> str:
    text = "('a text', 'another')" if len(result.data.texts) > 1 else "'a text'"
    program = (
        f"import distill_runner; print(distill_runner.load({str(folder)!r}).predict([{text}]))"
    )
    return f"{_python()} -c {_quoted(program)}"


def _labelling(result: RunResult, folder: Path) -> str:
    program = _shortest("distill", Path(sys.executable).with_name("distill"))
    columns = [word for name in result.data.texts for word in ("--text", name)]
    return f"{program} predict {shlex.join([str(folder), 'FILE', *columns])}"


def _quoted(program: str) -> str:
    """Quote a program for a shell, in double quotes if they are safe, since they read better."""
    return shlex.quote(program) if set(program) & set('"$`\\!') else f'"{program}"'


def command() -> str:
    """Return the command that started this program, as it can be typed again."""
    if Path(sys.argv[0]).name == "distill-run":
        return _shortest("distill-run", Path(sys.argv[0]))
    return f"{_python()} -m distill_runner"


def _python() -> str:
    return _shortest("python", Path(sys.executable))


def _shortest(name: str, program: Path) -> str:
    """Return the program's name if a shell finds it by name, else its path."""
    found = shutil.which(name)
    if found and Path(found).parent == program.parent:
        return name
    inside = program.is_relative_to(Path.cwd())
    return shlex.quote(str(program.relative_to(Path.cwd()) if inside else program))
