"""Fits the student's decision threshold on validation, and scores it on the other splits."""

from __future__ import annotations

import torch

from distill_runner.evaluation.metrics.estimate import interval_over_clusters
from distill_runner.evaluation.metrics.threshold import METRICS, best_threshold, shift_logits
from distill_runner.results.calibration import Measure
from distill_runner.results.collect.finished import FinishedRun
from distill_runner.results.threshold import Threshold, ThresholdScore
from distill_runner.tasks.base import scored_splits

_FITTED_ON = "validation"


def fit_threshold(run: FinishedRun) -> Threshold | None:
    """Return the threshold that is best on validation for the first metric that it changes.

    Returns:
        None if `evaluation.threshold` is off.
    """
    if not run.config.evaluation.threshold:
        return None
    metric = next(one for one in run.config.dataset.metrics if one in METRICS)
    logits = run.predictions.logits(run.plan.deployed, _FITTED_ON)
    probabilities = run.task.probabilities(torch.from_numpy(logits).double()).numpy()[:, 1]
    value = best_threshold(probabilities, run.labels[_FITTED_ON], metric)

    def score(split: str) -> ThresholdScore:
        before = run.predictions.logits(run.plan.deployed, split)
        first, second = (
            run.task.contributions(one, run.labels[split], run.clusters[split], metric)
            for one in (before, shift_logits(before, value))
        )
        found = interval_over_clusters(second - first)
        return ThresholdScore(
            before=float(first.mean()),
            after=float(second.mean()),
            change=Measure(value=float((second - first).mean()), low=found.low, high=found.high),
        )

    splits = [split for split in scored_splits(run.config.dataset) if split in run.data.splits]
    return Threshold(
        label=run.data.label_names[1],
        value=value,
        metric=metric.value,
        splits={split: score(split) for split in splits},
    )
