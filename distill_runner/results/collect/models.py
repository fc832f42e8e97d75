"""Collects the results of a run's models: teachers, intermediate models and the student."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from distill_runner.console.names import model_name
from distill_runner.data.answered_rows import answers_of
from distill_runner.evaluation.chance_level import verdict
from distill_runner.planning.stages import PRETRAIN, TASK, Stage
from distill_runner.results.collect.finished import FinishedRun, short_name
from distill_runner.results.measurements import AtChance
from distill_runner.results.schema import (
    FileAnswers,
    IntermediateResult,
    JointTeachers,
    PretrainResult,
    PretrainTeacher,
    StudentResult,
    TaughtTeacher,
    TeacherResult,
)
from distill_runner.results.scores import GoldenHeadScore

_CHANCE_SPLITS = ("test", "validation")  # the first one with rows is judged


def teacher(run: FinishedRun, name: str) -> TeacherResult:
    """Collect the result of a configured teacher as it was before the student's stage."""
    stage, predictions = run.plan.stage(name), run.predictions
    splits = [split for split in _CHANCE_SPLITS if split in run.data.splits]
    judged = any(predictions.has(name, split) for split in splits[:1])
    chance = find_chance(run, partial(predictions.logits, name)) if judged else None
    is_model = stage.answers is None
    return TeacherResult(
        name=short_name(name),
        model=stage.learner.id,
        layers=stage.learner.layers,
        parameters=run.record(name).parameters,
        steps=run.steps(name) if is_model else None,
        seed=stage.seed if is_model else None,
        may_have_seen_test_rows=run.may_have_seen_test_rows(name),
        no_better_than_chance=is_at_chance(run, chance) if judged else None,
        chance=chance,
        metrics=run.scores(name),
        answers=None if is_model else _file_answers(run, stage),
    )


def _file_answers(run: FinishedRun, stage: Stage) -> FileAnswers:
    """Collect what is known about a teacher that is a file."""
    answers = answers_of(stage, run.data, run.task)
    return FileAnswers(
        sha256=answers.sha256,
        answered={
            split: int((answers.positions(table) >= 0).sum())
            for split, table in run.data.splits.items()
        },
    )


def joint_teachers(run: FinishedRun) -> JointTeachers | None:
    """Collect the result of all teachers, joined by `Predictions.join`; None below two."""
    names, predictions = run.plan.teachers, run.predictions
    if len(names) < 2:
        return None
    splits = [split for split in _CHANCE_SPLITS if split in run.data.splits]
    judged = all(map(run.all_answer, splits[:1]))
    chance = find_chance(run, predictions.joined_teachers) if judged else None
    are_models = len(run.model_teachers) == len(names)
    return JointTeachers(
        combine=predictions.combine.value,
        parameters=sum(map(run.parameters, names)) if are_models else None,
        may_have_seen_test_rows=any(map(run.may_have_seen_test_rows, names)),
        no_better_than_chance=is_at_chance(run, chance) if judged else None,
        chance=chance,
        metrics={
            split: run.score(predictions.joined_teachers(split), split)
            for split in run.scored_splits
            if run.all_answer(split)
        },
    )


def intermediate_stages(run: FinishedRun) -> list[Stage]:
    """Return the student stages, other than the deployed one, that teach or may be deployed."""
    plan = run.plan
    return [
        stage
        for stage in plan.stages
        if stage.name not in plan.teachers
        and stage.data == TASK
        and stage.training.epochs  # peers at their start have nothing to show
        and stage.name != plan.deployed
        and (
            stage.name in plan.stopping
            or any(stage.name in other.teachers for other in plan.stages)
        )
    ]


def intermediate_results(run: FinishedRun) -> tuple[IntermediateResult, ...]:
    """Collect the results of the intermediate stages, in the order of training."""
    return tuple(_intermediate(run, stage) for stage in intermediate_stages(run))


def _intermediate(run: FinishedRun, stage: Stage) -> IntermediateResult:
    chance = find_chance(run, partial(run.predictions.logits, stage.name))
    return IntermediateResult(
        name=stage.name,
        model=stage.learner.id,
        layers=stage.learner.layers,
        parameters=run.parameters(stage.name),
        steps=run.steps(stage.name),
        chosen_rows=run.record(stage.name).training.counts or None,
        may_have_seen_test_rows=run.may_have_seen_test_rows(stage.name),
        no_better_than_chance=is_at_chance(run, chance),
        chance=chance,
        metrics=run.scores(stage.name),
    )


def student(run: FinishedRun) -> StudentResult:
    """Collect the result of the deployed model; the sizes of several deployed together add up."""
    plan, stage = run.plan, run.deployed
    parameters = sum(map(run.parameters, plan.members or (stage.name,)))
    chance = find_chance(run, partial(run.predictions.logits, stage.name))
    return StudentResult(
        name=stage.learner.id.rstrip("/").rsplit("/", 1)[-1],
        model=stage.learner.id,
        origin=run.outcome.origins[stage.name],
        layers=plan.lineage(stage.name)[-1].learner.layers,
        parameters=parameters,
        steps=run.steps(stage.name),
        members=plan.members,
        times_smaller=run.times_smaller(parameters),
        may_have_seen_test_rows=run.may_have_seen_test_rows(stage.name),
        no_better_than_chance=is_at_chance(run, chance),
        chance=chance,
    )


def find_chance(run: FinishedRun, predictions: Callable[[str], np.ndarray]) -> AtChance | None:
    """Return why a model is no better than chance on test, or on validation without test rows.

    Args:
        run: the finished run.
        predictions: the model's logits on a split.
    """
    split = _chance_split(run)
    if split is None:
        return None
    logits = predictions(split)
    return verdict(
        run.task,
        run.score(logits, split),
        logits,
        split,
        run.data.splits[split],
        names=run.data.label_names,
    )


def is_at_chance(run: FinishedRun, chance: AtChance | None) -> bool | None:
    """Return whether a model is no better than chance; None without rows to decide it on."""
    return None if _chance_split(run) is None else chance is not None


def _chance_split(run: FinishedRun) -> str | None:
    return next((split for split in _CHANCE_SPLITS if split in run.data.splits), None)


def random_models(run: FinishedRun) -> tuple[str, ...]:
    """Return the names of the models that started from random weights."""
    random = (one for one in run.plan.stages if run.plan.from_random(one.name))
    return tuple(sorted({model_name(one.learner.id) for one in random}))


def trained_teachers(run: FinishedRun) -> tuple[TaughtTeacher, ...]:
    """Return the teachers and peers that the student's stage also trained, as it left them."""
    stage = run.deployed
    history = run.history(stage)
    if stage.algorithm.needs.teachers != "trained" or not history:
        return ()
    last = history[-1]
    figures = {
        name: f"teacher_{run.task.primary_metric.value}/{short_name(name)}"
        for name in stage.teachers
    }
    return tuple(
        TaughtTeacher(
            name=short_name(name),
            model=run.model_id(name),
            layers=run.plan.stage(name).learner.layers,
            parameters=run.parameters(name),
            validation=last[figure],
        )
        for name, figure in figures.items()
        if figure in last
    )


def golden_head(run: FinishedRun) -> dict[str, GoldenHeadScore] | None:
    """Score the golden head alone on each split; None without soft heads."""
    stage, predictions = run.deployed, run.predictions
    if not predictions.has_soft_heads(stage.name) or run.plan.members:
        return None
    found = {}
    for split in run.scored_splits:
        alone, all_heads = (
            predictions.without_soft_heads(stage.name, split),
            predictions.logits(stage.name, split),
        )
        score = run.score(alone, split)
        found[split] = GoldenHeadScore(
            **vars(score), same_answers=run.task.agreement(alone, all_heads)
        )
    return found


def pretrain(run: FinishedRun) -> PretrainResult | None:
    """Collect the pretraining data and its teachers; None if there is no pretraining data."""
    data, dataset = run.all_data.get(PRETRAIN), run.config.pretrain.dataset
    if data is None:
        return None
    assert dataset is not None
    names = run.plan.pretrain_teachers
    return PretrainResult(
        dataset=dataset.name,
        rows=data.counts,
        left_out=data.left_out,
        fingerprints=data.fingerprints,
        teachers=tuple(
            PretrainTeacher(
                name=name,
                model=run.model_id(name),
                parameters=run.record(name).parameters,
                seed=stage.seed if stage.answers is None else None,
                metrics=run.record(name).metrics,
            )
            for name, stage in zip(names, map(run.plan.stage, names), strict=True)
        ),
    )
