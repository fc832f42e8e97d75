"""Measures robustness under noise and speed, if the configuration asks for them."""

from __future__ import annotations

from collections.abc import Mapping

import torch

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


def measure_robustness(run: FinishedRun) -> Robustness | None:
    """Measure the accuracy of every model on noisy test rows; None if it is not configured."""
    strengths, plan, predictions = run.config.evaluation.robustness, run.plan, run.predictions
    if strengths is None:
        return None
    noises = robustness.every_noise(strengths, word=run.config.noise.word)
    logits = {
        f"teacher {short_name(name)}": predictions.under_noise(name, noises)
        for name in plan.teachers
    }
    against = next(iter(logits), None)
    if len(logits) > 1:
        each, against = list(logits.values()), "teachers together"
        logits[against] = [predictions.join(one) for one in zip(*each, strict=True)]
    for stage in intermediate_stages(run):
        logits[stage.name] = predictions.under_noise(stage.name, noises)
    if plan.baseline is not None:
        logits["no teacher"] = predictions.under_noise(plan.baseline, noises)
    logits[robustness.STUDENT] = predictions.under_noise(plan.deployed, noises)
    labels = run.labels["test"]
    return Robustness(
        rows=len(labels),
        noise_seed=run.config.dataset.split_seed,
        models=tuple(logits),
        against=against,
        scores=robustness.score_under_noise(logits, labels, noises=noises, against=against),
    )


def measure_latency(run: FinishedRun, machine: Machine) -> Latency | None:
    """Time each teacher and the student in turns; None if it is not configured."""
    if not run.config.evaluation.latency:
        return None
    plan = run.plan
    names = {f"teacher {short_name(name)}": name for name in plan.teachers}
    names[latency.STUDENT] = plan.deployed
    speeds = latency.measure(
        {title: run.predictions.learners(name) for title, name in names.items()},
        len(run.labels["test"]),
        machine,
    )
    sizes = {title: run.record(name).parameters for title, name in names.items()}
    sizes[latency.STUDENT] = sum(
        run.record(name).parameters for name in plan.members or (plan.deployed,)
    )
    models = {
        title: ModelLatency(**vars(speeds[title]), parameters=sizes[title]) for title in names
    }
    return Latency(
        device=machine.name,
        threads=torch.get_num_threads(),
        models=models,
        against=_beside_first_teacher(run, models) if plan.teachers else None,
    )


def _beside_first_teacher(
    run: FinishedRun, models: Mapping[str, ModelLatency]
) -> LatencyComparison:
    name, student = next(iter(models)), models[latency.STUDENT]
    teacher = models[name]
    ours, theirs = (
        run.value(run.predictions.logits(stage, "test"), "test")
        for stage in (run.plan.deployed, run.plan.teachers[0])
    )
    return LatencyComparison(
        name=name,
        fewer_parameters=1 - student.parameters / teacher.parameters,
        less_time=1 - student.milliseconds / teacher.milliseconds,
        times_as_fast=teacher.milliseconds / student.milliseconds,
        kept=ours / theirs if theirs > 0 else None,
    )
