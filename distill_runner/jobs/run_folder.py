"""Writes the run folder: the student, its curves and predictions, and `result.json`."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from distill_runner.config.schema import Config
from distill_runner.evaluation.scores import labels_of, scored
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

if TYPE_CHECKING:
    from distill_runner.data.load import Prepared


def write_run_folder(
    folder: Path,
    config: Config,
    data: Prepared,
    outcome: Outcome,
    answers: Predictions,
    result: RunResult,
) -> None:
    """Write everything that a finished run leaves behind.

    Args:
        folder: new; `output_folder` puts it where it belongs once it is complete.
        data: of the task.
        result: what `result.json` says.
    """
    _copy_student(folder / "student", outcome)
    (folder / "student" / "README.md").write_text(model_card(result), encoding="utf-8")
    _write_curves(folder / "metrics.jsonl", outcome)
    splits = [
        *scored(config.dataset),
        "quiz",
        *(["train"] if saw_every_training_row(outcome, data) else []),
    ]
    (folder / "predictions").mkdir(exist_ok=True)
    for split in splits:
        if split in data.splits:
            _write_predictions(
                folder / "predictions" / f"{split}.csv",
                data.splits[split]["id"][:],
                labels_of(data.splits[split]),
                answers.logits(outcome.plan.deployed, split),
                data.label_names,
            )
    write_json(folder / RESULT, to_json(result))


def _copy_student(student: Path, outcome: Outcome) -> None:
    """Copy the deployed model; several that answer together get a folder each."""
    for name in outcome.plan.members or (outcome.plan.deployed,):
        artifact = outcome.artifacts[name]
        integrity.check(artifact.folder)
        _copy_content(artifact.model, student / name if outcome.plan.members else student)


def _copy_content(source: Path, target: Path) -> None:
    """Copy the files without their modes: the store may be read-only."""
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
    path: Path,
    ids: list[str],
    labels: np.ndarray,
    logits: np.ndarray,
    classes: tuple[str, ...],
) -> None:
    """Write label, prediction and logits by row id, and never the text."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        if logits.shape[-1] == 1:
            writer.writerow(["id", "label", "predicted"])
            for row, label, value in zip(ids, labels, logits[:, 0], strict=True):
                writer.writerow([row, f"{label:.7g}", f"{value:.7g}"])
            return
        writer.writerow(["id", "label", "predicted", *(f"logit_{name}" for name in classes)])
        predicted = logits.argmax(axis=-1)
        for row, label, answer, values in zip(ids, labels, predicted, logits, strict=True):
            writer.writerow([row, classes[label], classes[answer], *(f"{v:.7g}" for v in values)])
