"""Compares the student with its baseline and its teachers."""

from __future__ import annotations

from functools import partial

import numpy as np

from distill_runner.config.schema import Select
from distill_runner.planning.stages import UNLABELLED
from distill_runner.results.collect.finished import (
    FinishedRun,
    saw_every_training_row,
    short_name,
)
from distill_runner.results.collect.models import find_chance, is_at_chance
from distill_runner.results.schema import BaselineResult, TrainingRowsScore
from distill_runner.results.scores import Agreement, Gain
from distill_runner.tasks.base import Task


def baseline(run: FinishedRun) -> BaselineResult | None:
    """Collect the result of the baseline; None if none was trained."""
    name = run.plan.baseline
    if name is None:
        return None
    stage, metrics = run.plan.stage(name), dict(run.scores(name))
    chosen = None
    if run.tuning is not None:
        # It chose the baseline's trial.
        chosen = run.score(run.predictions.logits(name, "validation"), "validation")
    elif stage.training.select is Select.best_validation:
        # The validation score chose the baseline's epoch, so it is not a fair result.
        chosen = metrics.pop("validation", None)
    gains = {split: _gain(run, name, split) for split in metrics}
    if chosen is not None:
        metrics["selection_on_validation"] = chosen
    chance = find_chance(run, partial(run.predictions.logits, name))
    return BaselineResult(
        parameters=run.parameters(name),
        steps=run.steps(name),
        fewer_steps=run.steps(name) < run.steps(run.plan.deployed),
        selection=stage.training.select.value,
        times_smaller=run.times_smaller(run.parameters(name)),
        may_have_seen_test_rows=run.may_have_seen_test_rows(name),
        no_better_than_chance=is_at_chance(run, chance),
        chance=chance,
        metrics=metrics,
        training=run.record(name).training,
        gain=gains,
    )


def _gain(run: FinishedRun, baseline: str, split: str) -> Gain:
    ours, theirs = (run.predictions.logits(name, split) for name in (run.plan.deployed, baseline))
    labels, clusters = run.labels[split], run.clusters[split]
    interval = run.task.lead(ours, theirs, labels, clusters)
    share = None
    if run.plan.teachers and run.all_answer(split):
        teachers = run.predictions.joined_teachers(split)
        share = transferred_share(run.task, ours, theirs, teachers, labels, clusters)
    return Gain(
        difference=run.value(ours, split) - run.value(theirs, split),
        low=interval.low,
        high=interval.high,
        transferred=share,
        ranking=run.task.ranking_leads(ours, theirs, run.data.splits[split]),
    )


def transferred_share(
    task: Task,
    student: np.ndarray,
    baseline: np.ndarray,
    teachers: np.ndarray,
    labels: np.ndarray,
    clusters: np.ndarray,
) -> float | None:
    """Return the student's gain over the baseline as a share of the teachers' gain over it.

    Args:
        task: scores and compares logits.
        student, baseline, teachers: logits, [rows, classes].
        labels: [rows].
        clusters: [rows].

    Returns:
        None if the teachers' gain is not significant.
    """
    if task.lead(teachers, baseline, labels, clusters).low <= 0:
        return None
    before = task.value(baseline, labels)
    return (task.value(student, labels) - before) / (task.value(teachers, labels) - before)


def agreement(run: FinishedRun) -> dict[str, Agreement]:
    """Measure on each split how far the student agrees with the joined teachers.

    The teachers are those from before the student's stage; MetaDistil trains copies of them.
    """
    if not run.plan.teachers:
        return {}
    found = {}
    for split in filter(run.all_answer, run.scored_splits):
        ours, theirs = (
            run.predictions.logits(run.plan.deployed, split),
            run.predictions.joined_teachers(split),
        )
        found[split] = Agreement(
            with_teachers=run.task.agreement(ours, theirs),
            teachers_score=run.value(theirs, split),
        )
    return found


def teachers_on_training_rows(run: FinishedRun) -> dict[str, TrainingRowsScore]:
    """Return each teacher's accuracy on the training rows: in the training loop, and outside it."""
    history = run.history(run.deployed)
    first = history[0] if history else {}
    figures = {name: f"teacher_on_training_rows/{short_name(name)}" for name in run.plan.teachers}
    return {
        short_name(name): TrainingRowsScore(
            in_the_loop_first_epoch=first[figure], alone=_accuracy_on_training_rows(run, name)
        )
        for name, figure in figures.items()
        if figure in first
    }


def _accuracy_on_training_rows(run: FinishedRun, name: str) -> float | None:
    if not saw_every_training_row(run.outcome, run.data):
        return None
    splits = [split for split in run.deployed.rows if split != UNLABELLED]
    if not splits or not all(run.predictions.has(name, split) for split in splits):
        return None
    right = [
        found
        for split in splits
        if (found := run.task.right(run.predictions.logits(name, split), run.labels[split]))
        is not None
    ]
    return float(np.concatenate(right).mean())
