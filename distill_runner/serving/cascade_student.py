"""Predicts with a cascade: the student's answers where it is sure, and else the teachers'."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import yaml

from distill_runner.config.schema import Combine
from distill_runner.errors import Refused
from distill_runner.evaluation.predictions_file import FOLDER, TEACHERS, TOGETHER, read_predictions
from distill_runner.jobs.output_folder import CASCADE
from distill_runner.objectives.ensemble import Ensemble
from distill_runner.results.calibration import STUDENT, name_teacher
from distill_runner.results.calibration import TOGETHER as JOINED
from distill_runner.results.typed_json import Malformed, from_json, parse
from distill_runner.serving.cascade import Cascade, confidence
from distill_runner.serving.finished_run import RunFolder
from distill_runner.serving.student import Predictor, Reading, Student, temperatures_of
from distill_runner.serving.texts import Text
from distill_runner.tasks.kinds import find_task

BY_STUDENT, BY_TEACHERS = "student", "teacher"
_SAME = 1e-3  # logits in predictions files have seven digits


class CascadeStudent(Predictor):
    """A student that leaves the texts of which it is not sure to its teachers.

    Args:
        run: a run that `distill cascade` has made a cascade of.
        student: its student.

    Raises:
        Refused: there is no cascade, the store no longer has a teacher, or how the teachers are
            joined is not known.
    """

    def __init__(self, run: RunFolder, student: Student) -> None:
        self.threshold: float = read_cascade(run).threshold
        self._student = student
        self._teachers = list(student.teachers.values())
        self._ensemble = find_ensemble(run) if len(self._teachers) > 1 else None
        title = JOINED if self._ensemble else name_teacher(run.result.teachers[0].name)
        ours, theirs = (temperatures_of(run.result, name) for name in (STUDENT, title))
        # All logits are divided by the student's temperature later on.
        self._scale = ours[0] / theirs[0]
        super().__init__(
            (),
            task=student.task,
            classes=student.classes,
            pairs=student.pairs,
            device=student.device,
            bf16=False,
            temperatures=ours,
        )

    def read(self, texts: Sequence[Text]) -> Reading:
        """Return the logits of the texts, and who answered each."""
        found = self._student.read(texts)
        unsure = np.flatnonzero(confidence(found.logits) < self.threshold)
        by = np.full(len(texts), BY_STUDENT, dtype=object)
        logits = found.logits.copy()
        if len(unsure):
            asked = [texts[at] for at in unsure.tolist()]
            each = np.stack([teacher.read(asked).logits for teacher in self._teachers])
            logits[unsure] = self._join(each) * self._scale
            by[unsure] = BY_TEACHERS
        return Reading(logits, found.counts, answered_by=tuple(by))

    def _join(self, each: np.ndarray) -> np.ndarray:
        if self._ensemble is None:
            return np.asarray(each[0])
        return self._ensemble.join(torch.from_numpy(each), 1.0).numpy()


def read_cascade(run: RunFolder) -> Cascade:
    """Read the cascade of a run.

    Raises:
        Refused: there is none, its file is damaged, or it is an earlier run's.
    """
    path = run.folder / CASCADE
    try:
        found = from_json(Cascade, parse(path.read_text(encoding="utf-8")))
        if found.run == run.result.key:
            return found
        what = "This cascade was made for an earlier run in the same folder."
    except FileNotFoundError:
        what = "This run has no cascade."
    except (Malformed, json.JSONDecodeError) as error:
        what = f"{path} is damaged: {error}."
    raise Refused(
        what,
        key="--cascade",
        value=True,
        rule="a run whose folder has the file that distill cascade writes",
        way_out=f"distill cascade {run.folder}",
    )


def find_ensemble(run: RunFolder) -> Ensemble:
    """Return the rule that joins the run's teachers, checked on their stored predictions.

    Raises:
        Refused: no rule that the run's settings give leads to the stored predictions.
    """
    result = run.result
    folder, names = run.folder / FOLDER, [teacher.name for teacher in result.teachers]
    task = find_task(result.data.task)

    def logits(place: str) -> np.ndarray:
        path = folder / place / "validation.csv"
        return read_predictions(path, task, result.data.classes).logits

    each = np.stack([logits(f"{TEACHERS}/{name}") for name in names])
    together = logits(TOGETHER)
    assert result.together is not None
    combine = Combine(result.together.combine)
    weights, temperatures = _settings(run.folder, len(names))
    for tried in ((weights, temperatures), ((1 / len(names),) * len(names), None)):
        rule = task.ensemble(combine, *tried)
        found = rule.join(torch.from_numpy(each), 1.0).numpy()
        # Logits of probabilities are known up to a constant of each row.
        gap = (found - together) - (found - together).mean(-1, keepdims=True)
        if np.abs(gap).max() < _SAME:
            return rule
    raise Refused(
        "How this run's teachers were joined cannot be repeated from its settings.",
        key="--cascade",
        value=True,
        rule="teachers with equal weights, or with teacher.weights",
        way_out="teacher.weigh_by=weights, and distill cascade again",
    )


def _settings(folder: Path, count: int) -> tuple[tuple[float, ...], tuple[float, ...] | None]:
    """Return the teachers' weights and temperatures."""
    settings = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))["teacher"]
    weights = settings["weights"] or [1.0] * count
    shares = tuple(weight / sum(weights) for weight in weights)
    temperatures = settings["temperatures"]
    return shares, None if temperatures is None else tuple(temperatures)
