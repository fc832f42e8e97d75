"""The last lines of a run: how long it took, and what to type next."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

from distill_runner.console.names import counted
from distill_runner.console.time_left import duration
from distill_runner.results.schema import RunResult

_SEEDS = 3
# What the next command must not repeat: the run's own folder, its seed, and work that is done.
_OF_THIS_RUN = ("seed", "output_dir", "force", "dry_run")


def took_line(result: RunResult, seconds: float) -> str:
    """The wall-clock time, the share of training in it, and the stages found in the store."""
    stages = result.stages
    trained = {name: one.training_seconds for name, one in stages.items() if one.trained_now}
    # A teacher's stage alone has a folder in its name.
    teachers = sum(one for name, one in trained.items() if "/" in name)
    students = sum(one for name, one in trained.items() if "/" not in name)
    both = (("teachers", teachers), ("students", students))
    parts = [f"{who} {duration(each)}" for who, each in both if each]
    parts += ["partly side by side"] if sum(trained.values()) > seconds else []
    training = f" (training: {', '.join(parts)})" if parts else ""
    line = f"Done in {duration(seconds)}{training}."
    found = len(stages) - len(trained)
    if not found:
        return line
    if not trained:
        return f"{line} All stages were found in the store."
    verb = "was" if found == 1 else "were"
    return f"{line} {found} of {counted(len(stages), 'stage')} {verb} found in the store."


def next_steps(result: RunResult, folder: Path) -> list[tuple[str, str]]:
    """What can be done next and the command that does it; each works where it is typed.

    Args:
        folder: of the run, as it is shown.
    """
    return [
        (f"Compare {_SEEDS} seeds", _over_seeds(result)),
        ("Ask the student", _asking(result, folder)),
    ]


def _over_seeds(result: RunResult) -> str:
    # Hydra's own word is no setting of the run, and without it an option may not be found.
    options = [word for word in sys.argv[1:] if word.startswith("hydra.searchpath=")]
    kept = options + [one for one in result.overrides if one.partition("=")[0] not in _OF_THIS_RUN]
    seeds = ",".join(str(result.seed + at) for at in range(_SEEDS))
    return f"{command()} -m {' '.join(map(shlex.quote, [*kept, f'seed={seeds}']))}"


def _asking(result: RunResult, folder: Path) -> str:
    text = "('a text', 'another')" if len(result.data.texts) > 1 else "'a text'"
    student = f"distill_runner.load({str(folder)!r})"
    program = f"import distill_runner; print({student}.predict([{text}]))"
    return f"{_python()} -c {_quoted(program)}"


def _quoted(program: str) -> str:
    """In double quotes where these leave it as it is, which is easier to read."""
    return shlex.quote(program) if set(program) & set('"$`\\!') else f'"{program}"'


def command() -> str:
    """How this program was called, in a form that works again."""
    if Path(sys.argv[0]).name == "distill-run":
        return _shortest("distill-run", Path(sys.argv[0]))
    return f"{_python()} -m distill_runner"


def _python() -> str:
    return _shortest("python", Path(sys.executable))


def _shortest(name: str, program: Path) -> str:
    """The name alone where a shell finds the program by it, else its path."""
    found = shutil.which(name)
    if found and Path(found).parent == program.parent:
        return name
    inside = program.is_relative_to(Path.cwd())
    return shlex.quote(str(program.relative_to(Path.cwd()) if inside else program))
