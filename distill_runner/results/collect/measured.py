"""Measures robustness under noise and speed, if the configuration asks for them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from distill_runner.config.schema import Noise
from distill_runner.evaluation import latency, robustness
from distill_runner.results.collect.finished import FinishedRun, short_name
from distill_runner.results.collect.models import intermediate_stages
from distill_runner.results.measurements import (
    Latency,
    LatencyComparison,
    ModelLatency,
    Robustness,
)
from distill_runner.runtime.machine import Machine

_TOGETHER = "teachers together"


def noises_of(run: FinishedRun) -> list[Noise]:
    """Return the noises that the run is scored under; none if it is not configured."""
    strengths = run.config.evaluation.robustness
    return robustness.every_noise(strengths or (), word=run.config.noise.word)


def logits_under_noise(run: FinishedRun) -> dict[str, list[np.ndarray]]:
    """Return every model's logits on the test rows: clean first, then under each noise."""
    plan, predictions, noises = run.plan, run.predictions, noises_of(run)
    logits = {
        f"teacher {short_name(name)}": predictions.under_noise(name, noises)
        for name in run.model_teachers
    }
    if 1 < len(logits) == len(plan.teachers):
        each = list(logits.values())
        logits[_TOGETHER] = [predictions.join(one) for one in zip(*each, strict=True)]
    for stage in intermediate_stages(run):
        logits[stage.name] = predictions.under_noise(stage.name, noises)
    if plan.baseline is not None:
        logits["no teacher"] = predictions.under_noise(plan.baseline, noises)
    logits[robustness.STUDENT] = predictions.under_noise(plan.deployed, noises)
    return logits


def measure_robustness(run: FinishedRun) -> Robustness | None:
    """Measure the accuracy of every model on noisy test rows; None if it is not configured."""
    noises = noises_of(run)
    if not noises:
        return None
    logits, labels = logits_under_noise(run), run.labels["test"]
    against = None
    if run.model_teachers:
        against = _TOGETHER if _TOGETHER in logits else next(iter(logits))
    return Robustness(
        rows=len(labels),
        noise_seed=run.config.dataset.split_seed,
        models=tuple(logits),
        against=against,
        scores=robustness.score_under_noise(
            logits, labels, run.clusters["test"], noises=noises, against=against
        ),
    )


def measure_latency(run: FinishedRun, machine: Machine) -> Latency | None:
    """Time each teacher and the student in turns; None if it is not configured."""
    if not run.config.evaluation.latency:
        return None
    plan = run.plan
    names = {f"teacher {short_name(name)}": name for name in run.model_teachers}
    names[latency.STUDENT] = plan.deployed
    speeds = latency.measure(
        {title: run.predictions.learners(name) for title, name in names.items()},
        len(run.labels["test"]),
        machine,
    )
    sizes = {title: run.parameters(name) for title, name in names.items()}
    sizes[latency.STUDENT] = sum(map(run.parameters, plan.members or (plan.deployed,)))
    models = {
        title: ModelLatency(**vars(speeds[title]), parameters=sizes[title]) for title in names
    }
    return Latency(
        device=machine.name,
        threads=torch.get_num_threads(),
        models=models,
        against=_beside_first_teacher(run, models) if run.model_teachers else None,
    )


def _beside_first_teacher(
    run: FinishedRun, models: Mapping[str, ModelLatency]
) -> LatencyComparison:
    name, student = next(iter(models)), models[latency.STUDENT]
    teacher = models[name]
    ours, theirs = (
        run.value(run.predictions.logits(stage, "test"), "test")
        for stage in (run.plan.deployed, run.model_teachers[0])
    )
    return LatencyComparison(
        name=name,
        fewer_parameters=1 - student.parameters / teacher.parameters,
        less_time=1 - student.milliseconds / teacher.milliseconds,
        times_as_fast=teacher.milliseconds / student.milliseconds,
        kept=ours / theirs if theirs > 0 else None,
    )
