"""Figures over seeds, from the predictions of several runs on the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from distill_runner.config.schema import Metric, TaskKind
from distill_runner.errors import DistillError
from distill_runner.evaluation.metrics.estimate import Estimate, estimate
from distill_runner.evaluation.predictions_file import (
    BASELINE,
    FOLDER,
    SplitPredictions,
    read_predictions,
)
from distill_runner.results.schema import RunResult
from distill_runner.tasks.base import Task
from distill_runner.tasks.kinds import find_task


class DifferentRows(DistillError):
    """The runs were scored on different rows, so they cannot be paired."""


def score_over_seeds(
    runs: Sequence[tuple[Path, RunResult]], metric: str, *, model: str = "", split: str = "test"
) -> Estimate:
    """Estimate a model's score over the runs' seeds and the rows' clusters.

    Args:
        runs: run folders or records, with their results; one for each seed.
        metric: one of the runs' metrics.
        model: the folder of its predictions, such as `BASELINE`; empty: the student.
        split: a scored split.

    Raises:
        DifferentRows: the runs differ in their rows.
        DistillError: predictions are missing or damaged.
    """
    return estimate(_contributions(runs, metric, model, split))


def lead_over_seeds(
    runs: Sequence[tuple[Path, RunResult]],
    metric: str,
    *,
    over: Sequence[tuple[Path, RunResult]] | None = None,
    model: str = "",
    other: str = BASELINE,
    split: str = "test",
) -> Estimate:
    """Estimate one model's lead over another, paired by seed and by cluster.

    Args:
        runs: one for each seed.
        metric: one of the runs' metrics.
        over: the runs that the other model comes from, in the same order of seeds; None: the same.
        model: the folder of the first model's predictions; empty: the student.
        other: of the second model's.
        split: a scored split.

    Raises:
        DistillError: as for `score_over_seeds`; or the two sides differ in their seeds.
    """
    others = runs if over is None else over
    if [result.seed for _, result in runs] != [result.seed for _, result in others]:
        raise DistillError("The two sides of a comparison have different seeds.")
    both = [*((run, model) for run in runs), *((run, other) for run in others)]
    values = _same_rows(both, metric, split)
    return estimate(values[: len(runs)] - values[len(runs) :])


def _contributions(
    runs: Sequence[tuple[Path, RunResult]], metric: str, model: str, split: str
) -> np.ndarray:
    return _same_rows([(run, model) for run in runs], metric, split)


def _same_rows(
    models: Sequence[tuple[tuple[Path, RunResult], str]], metric: str, split: str
) -> np.ndarray:
    """Return the contributions of each model, [models, clusters]."""
    found: list[np.ndarray] = []
    first: SplitPredictions | None = None
    for (folder, result), model in models:
        task = task_of_result(result)
        path = folder / FOLDER / model / f"{split}.csv"
        read = read_predictions(path, task, result.data.classes)
        if first is not None and read.ids != first.ids:
            raise DifferentRows(f"{path} has other rows than the first run.")
        first = first or read
        found.append(task.contributions(read.logits, read.labels, read.clusters, Metric(metric)))
    return np.stack(found)


def task_of_result(result: RunResult) -> Task:
    """Return the task of a run, with the metrics that it was scored by."""
    return find_task(TaskKind(result.data.task).value)
