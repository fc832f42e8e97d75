"""Assembles the typed result of a finished plan."""

from __future__ import annotations

from collections.abc import Mapping

from distill_runner.results.collect import comparisons, measured, models, origins
from distill_runner.results.collect.calibration import measure_calibration
from distill_runner.results.collect.finished import FinishedRun
from distill_runner.results.collect.threshold import fit_threshold
from distill_runner.results.origins import DataSource
from distill_runner.results.schema import (
    BrokenOff,
    PublishedFigure,
    RunResult,
    StoppedByValidation,
)
from distill_runner.results.scores import Scores
from distill_runner.runtime.machine import Machine
from distill_runner.storage.store import key_of


def collect_result(
    run: FinishedRun, *, machine: Machine, sources: Mapping[str, DataSource]
) -> RunResult:
    """Collect the content of result.json.

    Args:
        run: the finished run.
        machine: where speed is measured.
        sources: where each data set came from (`inputs.given_data`).
    """
    config, plan, deployed = run.config, run.plan, run.plan.deployed
    return RunResult(
        key=key_of([artifact.key for artifact in run.outcome.artifacts.values()]),
        method=plan.method,
        seed=config.seed,
        experiment=config.experiment,
        profile=config.profile,
        dataset=config.dataset.name,
        formula=run.record(deployed).formula,
        primary_metric=run.task.primary_metric.value,
        scored_by=tuple(metric.value for metric in config.dataset.metrics),
        selection=config.training.select.value,
        max_steps=config.training.max_steps,
        overrides=run.overrides,
        published=_published(run),
        teachers=tuple(models.teacher(run, name) for name in plan.teachers),
        together=models.joint_teachers(run),
        between=models.intermediate_results(run),
        trained_teachers=models.trained_teachers(run),
        pretrain=models.pretrain(run),
        student=models.student(run),
        random_models=models.random_models(run),
        metrics=_metrics(run),
        golden_head=models.golden_head(run),
        baseline=comparisons.baseline(run),
        stopped=_stopped(run),
        tuning=run.tuning,
        broken_off=_broken_off(run),
        agreement=comparisons.agreement(run),
        calibration=measure_calibration(run),
        threshold=fit_threshold(run),
        robustness=measured.measure_robustness(run),
        latency=measured.measure_latency(run, machine),
        training=run.record(deployed).training,
        teachers_on_training_rows=comparisons.teachers_on_training_rows(run),
        data=origins.data_result(run),
        stages=origins.stage_results(run),
        versions=run.record(deployed).versions,
        provenance=origins.provenance(run, sources),
    )


def _metrics(run: FinishedRun) -> Scores:
    """Return the student's scores; validation is renamed if it is no fair result."""
    metrics = dict(run.scores(run.plan.deployed))
    if "validation" not in run.scored_splits and "validation" in run.data.splits:
        logits = run.predictions.logits(run.plan.deployed, "validation")
        metrics["selection_on_validation"] = run.score(logits, "validation")
    return metrics


def _published(run: FinishedRun) -> PublishedFigure | None:
    """Return the published figure; None if the experiment runs on other data."""
    known = run.config.published
    if known is None or known.dataset != run.config.dataset.name:
        return None
    return PublishedFigure(
        accuracy=known.accuracy,
        dataset=known.dataset,
        split=known.split,
        rows=known.rows,
        source=known.source,
        train_rows=known.train_rows,
    )


def _stopped(run: FinishedRun) -> StoppedByValidation | None:
    if not run.plan.stopping:
        return None
    validation = {
        name: run.score(run.predictions.logits(name, "validation"), "validation")
        for name in run.plan.stopping
    }
    return StoppedByValidation(kept=run.plan.deployed, validation=validation)


def _broken_off(run: FinishedRun) -> BrokenOff | None:
    """Return the first repetition before which the chain ended early; None if it did not."""
    for name, why in run.outcome.broken_off.items():
        return BrokenOff(before=name, because=why, kept=run.plan.deployed)
    return None
