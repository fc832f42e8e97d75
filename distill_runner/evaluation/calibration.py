"""Fits a model's temperatures on validation, and scores its probabilities on the other splits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from distill_runner.evaluation.metrics.calibration import (
    Forecast,
    calibration_error,
    error_if_exact,
    error_interval,
    mean_interval,
)
from distill_runner.evaluation.metrics.intervals import Interval
from distill_runner.evaluation.metrics.temperature import Temperature
from distill_runner.results.calibration import (
    LabelTemperature,
    Measure,
    ModelCalibration,
    ProbabilityScores,
    SplitCalibration,
)
from distill_runner.tasks.base import Task


@dataclass(frozen=True)
class Outputs:
    """What a model answers on one split, and what is true.

    Attributes:
        logits: [rows, outputs].
        labels: of the rows, as the task uses them.
        clusters: [rows], the number of each row's cluster.
    """

    logits: np.ndarray
    labels: np.ndarray
    clusters: np.ndarray


def calibrate(
    task: Task, validation: Outputs | None, judged: Mapping[str, Outputs], names: Sequence[str]
) -> ModelCalibration:
    """Fit one model's temperatures, and score its probabilities before and after.

    Args:
        task: one whose outputs are probabilities.
        validation: what the temperatures are fitted on; None without validation rows.
        judged: by split, what the probabilities are scored on.
        names: of the outputs.
    """
    found = _fit(task, validation, len(names))
    labels = [None] if task.rules.classes else names
    divisor = None
    if any(one.not_fitted is None for one in found):
        divisor = np.array([one.value for one in found])
    return ModelCalibration(
        temperatures=tuple(
            LabelTemperature(label=label, value=one.value, not_fitted=one.not_fitted)
            for label, one in zip(labels, found, strict=True)
        ),
        splits={
            split: _judge(task, outputs, divisor)
            for split, outputs in judged.items()
            if np.isfinite(outputs.logits).all()
        },
    )


def _fit(task: Task, rows: Outputs | None, outputs: int) -> Sequence[Temperature]:
    why_not = None
    if rows is None:
        why_not = "there are no validation rows"
    elif not np.isfinite(rows.logits).all():
        why_not = "an output on validation is no finite number"
    if rows is None or why_not is not None:
        return [Temperature(1.0, why_not)] * (1 if task.rules.classes else outputs)
    return task.fit_temperatures(rows.logits, rows.labels, rows.clusters)


def _judge(task: Task, rows: Outputs, divisor: np.ndarray | None) -> SplitCalibration:
    before = task.forecast(rows.logits, rows.labels)
    after, change = None, None
    if divisor is not None:
        scaled = task.forecast(rows.logits / divisor, rows.labels)
        after, difference = _scores(scaled, rows.clusters), scaled.nll - before.nll
        interval = mean_interval(difference, rows.clusters, lowest=-math.inf)
        change = _measure(float(difference.mean()), interval)
    return SplitCalibration(
        n=len(rows.logits),
        clusters=len(np.unique(rows.clusters)),
        before=_scores(before, rows.clusters),
        after=after,
        nll_change=change,
    )


def _scores(found: Forecast, clusters: np.ndarray) -> ProbabilityScores:
    return ProbabilityScores(
        ece=_measure(calibration_error(found), error_interval(found, clusters)),
        ece_if_exact=error_if_exact(found),
        brier=_measure(float(found.brier.mean()), mean_interval(found.brier, clusters)),
        nll=_measure(float(found.nll.mean()), mean_interval(found.nll, clusters)),
    )


def _measure(value: float, interval: Interval | None) -> Measure:
    low, high = (None, None) if interval is None else (interval.low, interval.high)
    return Measure(value=value, low=low, high=high)
