"""A finished run read from its folder; nothing of it is believed before it is checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from distill_runner.errors import DistillError, Refused
from distill_runner.jobs.output_folder import RunState, changed_file, state_of
from distill_runner.results.files import read_result
from distill_runner.results.schema import RunResult

_RULE = "the folder of a finished run, as `Run folder:` names it at the run's end"
# What is loaded; the model's card is a text to be edited.
_READ, _CARD = ("result.json", "config.yaml", "student"), "student/README.md"


@dataclass(frozen=True)
class FinishedRun:
    """What a run folder says of its student.

    Args:
        folder: the run folder.
        result: what `result.json` says.
        store: where its teachers are.
        first_token_only, leave_padding_out: how the run read its rows (`runtime`).
    """

    folder: Path
    result: RunResult
    store: Path
    first_token_only: bool
    leave_padding_out: bool

    @property
    def student_folders(self) -> tuple[Path, ...]:
        """The model folder of the student, or of each member of those deployed together."""
        student = self.folder / "student"
        return tuple(student / name for name in self.result.student.members) or (student,)

    @property
    def student_names(self) -> tuple[str, ...]:
        """A name for each of `student_folders`, for messages."""
        return self.result.student.members or (self.result.student.name,)


def read_run(folder: Path, *, store: Path | None = None) -> FinishedRun:
    """Read a run folder, once every file that is used is as the run left it.

    Args:
        folder: wherever it lies now.
        store: folder of the store; None: where the run's settings say, from the current folder.

    Raises:
        Refused: it is no run folder, or of a run that is unfinished, damaged, or of a version
            whose results are written differently.
    """
    _check_state(folder)
    changed = changed_file(folder, _READ, ignoring=(_CARD,))
    if changed is not None:
        raise _refused(
            folder,
            f"{folder} is damaged: {changed} is not as the run left it.",
            rule="a run folder whose files are unchanged",
            way_out="the same command writes it again; finished stages are found in the store",
        )
    settings = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    return FinishedRun(
        folder=folder,
        result=_result(folder),
        store=store or Path(settings["store"]["dir"]),
        first_token_only=bool(settings["runtime"]["first_token_only"]),
        leave_padding_out=bool(settings["runtime"]["leave_padding_out"]),
    )


def _check_state(folder: Path) -> None:
    """Refuse a folder that holds no finished run."""
    state = state_of(folder)
    if state is RunState.finished:
        return
    what, way_out = _other_than_finished(folder, state)
    raise _refused(folder, f"{folder} {what}.", rule=_RULE, way_out=way_out)


def _other_than_finished(folder: Path, state: RunState) -> tuple[str, str | None]:
    """What the folder is instead, and the way out of it."""
    if state is RunState.unfinished:
        jobs = sorted(path.name for path in folder.iterdir() if path.name.isdigit())
        if jobs:
            return "is the folder of a sweep", f'load("{folder / jobs[0]}")'
        return "holds a run that is not finished", "the same command goes on with it"
    if not folder.is_dir():
        return "is no folder", None
    around = next((one for one in folder.parents if state_of(one) is RunState.finished), None)
    if around is not None:
        return "lies inside a run folder", f'load("{around}")'
    return "is no run folder", None


def _result(folder: Path) -> RunResult:
    try:
        return read_result(folder)
    except DistillError as error:
        raise _refused(
            folder,
            str(error),
            rule="a run of this version",
            way_out="the same command writes it again; what this version has trained is found in "
            "the store",
        ) from error


def _refused(folder: Path, what: str, *, rule: str, way_out: str | None) -> Refused:
    return Refused(what, key="run_folder", value=str(folder), rule=rule, way_out=way_out)
