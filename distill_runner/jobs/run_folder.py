"""Writes the run folder: the student, its curves and predictions, and `result.json`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np

from distill_runner.evaluation.predictions_file import (
    BASELINE,
    FOLDER,
    NOISE,
    TEACHERS,
    TOGETHER,
    write_predictions,
)
from distill_runner.pipeline.outcome import Outcome
from distill_runner.pipeline.run_curves import points_of
from distill_runner.report.card import model_card
from distill_runner.results.collect.finished import (
    FinishedRun,
    saw_every_training_row,
    short_name,
)
from distill_runner.results.collect.measured import logits_under_noise, noises_of
from distill_runner.results.files import RESULT
from distill_runner.results.schema import RunResult
from distill_runner.results.typed_json import to_json
from distill_runner.storage import integrity
from distill_runner.storage.store import write_json
from distill_runner.tasks.base import scored_splits


def write_run_folder(folder: Path, run: FinishedRun, result: RunResult) -> None:
    """Write all files of a finished run.

    Args:
        folder: a new folder, which `output_folder` moves into place once it is complete.
        run: its plan, data, artifacts and predictions.
        result: the content of `result.json`.
    """
    _copy_student(folder / "student", run.outcome)
    (folder / "student" / "README.md").write_text(model_card(result), encoding="utf-8")
    _write_curves(folder / "metrics.jsonl", run.outcome)
    _write_predictions(folder / FOLDER, run)
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


def _write_predictions(folder: Path, run: FinishedRun) -> None:
    """Write what every model predicts: enough to compute each figure again."""
    plan, answers = run.plan, run.predictions

    def write(place: str, split: str, logits: np.ndarray) -> None:
        path, rows = folder / place / f"{split}.csv", run.data.splits[split]
        write_predictions(path, run.task, rows, logits, run.data.label_names)

    scored = [split for split in scored_splits(run.config.dataset) if split in run.data.splits]
    learnt = ["train"] if saw_every_training_row(run.outcome, run.data) else []
    for split in (*scored, "quiz", *learnt):
        if split in run.data.splits:
            write("", split, answers.logits(plan.deployed, split))
    for split in scored:
        if plan.baseline is not None:
            write(BASELINE, split, answers.logits(plan.baseline, split))
        for name in plan.teachers:
            if not answers.has(name, split):
                continue  # a file that does not answer every row
            write(f"{TEACHERS}/{short_name(name)}", split, answers.logits(name, split))
        if len(plan.teachers) > 1 and run.all_answer(split):
            write(TOGETHER, split, answers.joined_teachers(split))
    noises = noises_of(run)
    for title, (_, *noisy) in logits_under_noise(run).items() if noises else ():
        for noise, logits in zip(noises, noisy, strict=True):
            write(f"{NOISE}/{noise.kind.value}_{noise.p:g}/{title}", "test", logits)
