"""Writes the run folder: the student, its curves and predictions, and `result.json`."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from distill_runner.config.schema import Config
from distill_runner.pipeline.outcome import Outcome
from distill_runner.pipeline.predictions import Predictions
from distill_runner.pipeline.run_curves import points_of
from distill_runner.report.card import model_card
from distill_runner.results.collect.finished import saw_every_training_row
from distill_runner.results.files import RESULT
from distill_runner.results.schema import RunResult
from distill_runner.results.typed_json import to_json
from distill_runner.storage import integrity
from distill_runner.storage.store import write_json
from distill_runner.tasks.base import Task, scored_splits
from distill_runner.tasks.kinds import task_of

if TYPE_CHECKING:
    from datasets import Dataset

    from distill_runner.data.load import Prepared


def write_run_folder(
    folder: Path,
    config: Config,
    data: Prepared,
    outcome: Outcome,
    answers: Predictions,
    result: RunResult,
) -> None:
    """Write all files of a finished run.

    Args:
        folder: a new folder, which `output_folder` moves into place once it is complete.
        config: the whole configuration.
        data: the task's data.
        outcome: the stages and their artifacts.
        answers: the models' predictions.
        result: the content of `result.json`.
    """
    _copy_student(folder / "student", outcome)
    (folder / "student" / "README.md").write_text(model_card(result), encoding="utf-8")
    _write_curves(folder / "metrics.jsonl", outcome)
    splits = [
        *scored_splits(config.dataset),
        "quiz",
        *(["train"] if saw_every_training_row(outcome, data) else []),
    ]
    (folder / "predictions").mkdir(exist_ok=True)
    for split in splits:
        if split in data.splits:
            _write_predictions(
                folder / "predictions" / f"{split}.csv",
                task_of(config.dataset),
                data.splits[split],
                answers.logits(outcome.plan.deployed, split),
                data.label_names,
            )
    write_json(folder / RESULT, to_json(result))


def _copy_student(student: Path, outcome: Outcome) -> None:
    """Copy the deployed model; of several deployed together, each gets a folder."""
    for name in outcome.plan.members or (outcome.plan.deployed,):
        artifact = outcome.artifacts[name]
        integrity.check(artifact.folder)
        _copy_content(artifact.model, student / name if outcome.plan.members else student)


def _copy_content(source: Path, target: Path) -> None:
    """Copy the files without their modes, since the store may be read-only."""
    for path in source.rglob("*"):
        if path.is_file():
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)


def _write_curves(path: Path, outcome: Outcome) -> None:
    """Write the curves of all stages, one after another."""
    with path.open("w", encoding="utf-8") as file:
        for name, artifact in outcome.artifacts.items():
            for step, values in points_of(artifact, outcome.plan.stage(name)):
                file.write(json.dumps({"stage": name, "step": step, **values}) + "\n")


def _write_predictions(
    path: Path, task: Task, rows: Dataset, logits: np.ndarray, classes: tuple[str, ...]
) -> None:
    """Write label, prediction and logits by row id, but never the text."""
    predictions = task.predictions(logits, task.labels(rows), classes)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        for row_id, columns in zip(["id", *rows["id"][:]], predictions, strict=True):
            writer.writerow([row_id, *columns])
