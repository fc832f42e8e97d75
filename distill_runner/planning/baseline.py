"""Plans the baseline: the deployed student's model, trained without a teacher.

Longer training alone often makes a model better. The baseline therefore has the deployed student's
model, first weights and layers, and makes at least as many optimiser steps as the student made over
all of its stages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from distill_runner.config.schema import BaselineSteps, Select, Training
from distill_runner.planning.stages import Plan, Stage, steps_of

# Counts the optimiser steps of one stage, without earlier stages; None while they are not known.
CountSteps = Callable[[Stage], int | None]


def steps_made(plan: Plan, name: str, steps: CountSteps) -> int | None:
    """Sum the optimiser steps of a stage and its lineage; None while they are not known."""
    counts = [steps(stage) for stage in plan.lineage(name)]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def with_first_model(baseline: Stage, plan: Plan, name: str) -> Stage:
    """Give the baseline the model that the student of `name` had before its first stage."""
    first = plan.lineage(name)[-1]
    return replace(baseline, learner=first.learner, initialisation=first.initialisation)


def begin_alike(plan: Plan, names: Sequence[str]) -> bool:
    """Return whether the students of these stages began as the same model."""
    first = [plan.lineage(name)[-1] for name in names]
    models = [(stage.learner, stage.initialisation) for stage in first]
    return all(model == models[0] for model in models)


def matched_baseline(
    baseline: Stage,
    plan: Plan,
    candidates: Sequence[str],
    *,
    rows: int,
    steps: CountSteps,
    length: BaselineSteps,
) -> Stage | None:
    """Return the baseline as it will be trained; None while that is not known.

    Args:
        baseline: as planned.
        plan: the whole plan.
        candidates: the stages of which one will be deployed.
        rows: how many rows the baseline trains on.
        steps: counts the optimiser steps of the other stages.
        length: how long to train the baseline.
    """
    matched: list[Stage] = []
    for name in candidates:
        stage = replace(with_first_model(baseline, plan, name), compared_with=())
        if length is not BaselineSteps.epochs:
            made = steps_made(plan, name, steps)
            if made is None:
                return None
            stage = replace(stage, training=_at_least(made, stage.training, rows))
        if length is BaselineSteps.best_epoch:
            stage = replace(stage, training=replace(stage.training, select=Select.best_validation))
        matched.append(stage)
    return matched[0] if all(stage == matched[0] for stage in matched) else None


def _at_least(steps: int, training: Training, rows: int) -> Training:
    """Lengthen the training to at least `steps` steps, within `max_steps`."""
    wanted = steps if training.max_steps is None else min(steps, training.max_steps)
    if wanted <= steps_of(training, rows):
        return training
    steps_per_epoch = -(-rows // training.batch_size)
    epochs = -(-wanted // steps_per_epoch)
    # Whole epochs need no step limit and equal a plain fine-tuning, which the store may have.
    limit = training.max_steps if epochs * steps_per_epoch == wanted else wanted
    return replace(training, epochs=epochs, max_steps=limit)
