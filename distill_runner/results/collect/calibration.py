"""Collects how far the probabilities of a run's models can be trusted."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from distill_runner.evaluation.calibration import Outputs, calibrate
from distill_runner.results.calibration import (
    BASELINE,
    STUDENT,
    TOGETHER,
    Calibration,
    ModelCalibration,
    name_teacher,
)
from distill_runner.results.collect.finished import FinishedRun, short_name
from distill_runner.tasks.base import scored_splits

_FITTED_ON = "validation"


def measure_calibration(run: FinishedRun) -> Calibration | None:
    """Fit every model's temperatures on validation, and judge them on the other scored splits.

    Validation may have chosen an epoch or a trial before: the temperature is that of the weights
    which were kept, and it is judged on other rows.

    Returns:
        None for scores, which have no probabilities.
    """
    if run.task.rules.no_probabilities is not None:
        return None
    plan, predictions = run.plan, run.predictions
    models: dict[str, Callable[[str], np.ndarray]] = {
        name_teacher(short_name(name)): partial(predictions.logits, name)
        for name in plan.teachers
        if _answers_all(run, name)
    }
    if 1 < len(models) == len(plan.teachers):
        models[TOGETHER] = predictions.joined_teachers
    if plan.baseline is not None:
        models[BASELINE] = partial(predictions.logits, plan.baseline)
    models[STUDENT] = partial(predictions.logits, plan.deployed)
    return Calibration(
        validation_rows=len(run.labels.get(_FITTED_ON, ())),
        models={title: _calibrate(run, logits) for title, logits in models.items()},
    )


def _answers_all(run: FinishedRun, teacher: str) -> bool:
    """Return whether a teacher answers every row; one that is a file of answers may not."""
    splits = [split for split in scored_splits(run.config.dataset) if split in run.data.splits]
    return all(run.predictions.has(teacher, split) for split in splits)


def _calibrate(run: FinishedRun, logits: Callable[[str], np.ndarray]) -> ModelCalibration:
    outputs = {
        split: Outputs(logits(split), run.labels[split], run.clusters[split])
        for split in scored_splits(run.config.dataset)
        if split in run.data.splits
    }
    validation = outputs.pop(_FITTED_ON, None)
    return calibrate(run.task, validation, outputs, run.data.label_names)
