"""Reads a finished run from its folder, after checking every file that is used."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import yaml

from distill_runner.errors import DistillError, Refused
from distill_runner.jobs.output_folder import RunState, changed_file, state_of
from distill_runner.results.files import FILES, RESULT, FileList, read_result
from distill_runner.results.schema import RunResult
from distill_runner.results.typed_json import from_json, parse

_RULE = "the folder of a finished run, printed as `Run folder:` when the run ends"
# The files to load; users may edit the model's card.
_READ, _CARD = ("result.json", "config.yaml", "student"), "student/README.md"


@dataclass(frozen=True)
class RunFolder:
    """A run folder's contents, as far as its student needs them.

    Args:
        folder: the run folder.
        result: the contents of `result.json`.
        store: the store that holds the run's teachers.
        label: the run's label column; None: there are several.
        first_token_only, leave_padding_out: how the run read its rows (`runtime`).
    """

    folder: Path
    result: RunResult
    store: Path
    label: str | None
    first_token_only: bool
    leave_padding_out: bool

    @property
    def student_folders(self) -> tuple[Path, ...]:
        """The student's model folder, or those of its members if several predict together."""
        student = self.folder / "student"
        return tuple(student / name for name in self.result.student.members) or (student,)

    @property
    def student_names(self) -> tuple[str, ...]:
        """The name of each of `student_folders`, for messages."""
        return self.result.student.members or (self.result.student.name,)

    @property
    def student_digest(self) -> str:
        """The sha256 over the student's files and the run's result, as the run left them."""
        known = from_json(FileList, parse((self.folder / FILES).read_bytes())).files
        deciding = {
            name: entry.sha256
            for name, entry in known.items()
            if name.split("/")[0] in ("student", RESULT) and name != _CARD
        }
        return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()


def read_run(folder: Path, *, store: Path | None = None) -> RunFolder:
    """Read a run folder, after checking that the run's files are unchanged.

    Args:
        folder: the run folder; it may have been moved.
        store: the store's folder; None: `store.dir` of the run, from the current folder.

    Raises:
        Refused: it is not a run folder, or the run is unfinished, damaged, or of a version whose
            results have another format.
    """
    _check_state(folder)
    changed = changed_file(folder, _READ, ignoring=(_CARD,))
    if changed is not None:
        raise _refused(
            folder,
            f"{folder} is damaged: {changed} is not as the run left it.",
            rule="a run folder whose files are unchanged",
            way_out="run the same command again; it takes finished stages from the store",
        )
    settings = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    label = settings["dataset"]["label"]
    return RunFolder(
        folder=folder,
        result=_result(folder),
        store=store or Path(settings["store"]["dir"]),
        label=label if isinstance(label, str) else None,
        first_token_only=bool(settings["runtime"]["first_token_only"]),
        leave_padding_out=bool(settings["runtime"]["leave_padding_out"]),
    )


def _check_state(folder: Path) -> None:
    """Refuse a folder that does not hold a finished run."""
    state = state_of(folder)
    if state is RunState.finished:
        return
    what, way_out = _other_than_finished(folder, state)
    raise _refused(folder, f"{folder} {what}.", rule=_RULE, way_out=way_out)


def _other_than_finished(folder: Path, state: RunState) -> tuple[str, str | None]:
    """Return what the folder is instead, and a way out."""
    if state is RunState.unfinished:
        jobs = sorted(path.name for path in folder.iterdir() if path.name.isdigit())
        if jobs:
            return "is the folder of a sweep", f"{folder / jobs[0]}"
        return "holds a run that is not finished", "run the same command again to continue it"
    if not folder.is_dir():
        return "is not a folder", None
    around = next((one for one in folder.parents if state_of(one) is RunState.finished), None)
    if around is not None:
        return "lies inside a run folder", f"{around}"
    return "is not a run folder", None


def _result(folder: Path) -> RunResult:
    try:
        return read_result(folder)
    except DistillError as error:
        raise _refused(
            folder,
            str(error),
            rule="a run of this version",
            way_out="run the same command again; it takes stages trained by this version from "
            "the store",
        ) from error


def _refused(folder: Path, what: str, *, rule: str, way_out: str | None) -> Refused:
    return Refused(what, key="run_folder", value=str(folder), rule=rule, way_out=way_out)
