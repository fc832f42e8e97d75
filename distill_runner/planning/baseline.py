"""The student without a teacher: the deployed model, trained for no fewer steps.

A model that trains for longer is often better for that reason alone. The baseline therefore has
the deployed student's model, first weights and layers, and makes at least as many optimiser steps
as the student did in its own stage and in the stages it goes on from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from distill_runner.config.schema import BaselineSteps, Select, Training
from distill_runner.planning.stages import Plan, Stage, steps_of

# The optimiser steps of one stage, without those before it; None while they are not known.
CountSteps = Callable[[Stage], int | None]


def steps_made(plan: Plan, name: str, steps: CountSteps) -> int | None:
    """All optimiser steps of a stage's student; None while they are not known."""
    counts = [steps(stage) for stage in plan.lineage(name)]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def with_first_model(baseline: Stage, plan: Plan, name: str) -> Stage:
    """The baseline with the model that the student of `name` was before its first stage."""
    first = plan.lineage(name)[-1]
    return replace(baseline, learner=first.learner, initialisation=first.initialisation)


def begin_alike(plan: Plan, names: Sequence[str]) -> bool:
    """Whether the students of these stages began as the same model."""
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
    wish: BaselineSteps,
) -> Stage | None:
    """The baseline as it is trained; None while that depends on what is not known.

    Args:
        baseline: as planned.
        candidates: the stages of which one is deployed.
        rows: how many rows the baseline trains on.
        steps: counts the steps of the other stages.
        wish: how long to train the baseline.
    """
    matched: list[Stage] = []
    for name in candidates:
        stage = replace(with_first_model(baseline, plan, name), compared_with=())
        if wish is not BaselineSteps.epochs:
            made = steps_made(plan, name, steps)
            if made is None:
                return None
            stage = replace(stage, training=_at_least(made, stage.training, rows))
        if wish is BaselineSteps.best_epoch:
            stage = replace(stage, training=replace(stage.training, select=Select.best_validation))
        matched.append(stage)
    return matched[0] if all(stage == matched[0] for stage in matched) else None


def _at_least(steps: int, training: Training, rows: int) -> Training:
    """The training with at least so many steps, as far as `max_steps` allows."""
    wanted = steps if training.max_steps is None else min(steps, training.max_steps)
    if wanted <= steps_of(training, rows):
        return training
    steps_per_epoch = -(-rows // training.batch_size)
    epochs = -(-wanted // steps_per_epoch)
    # Without a limit, whole epochs are a plain fine-tuning, which may be in the store already.
    limit = training.max_steps if epochs * steps_per_epoch == wanted else wanted
    return replace(training, epochs=epochs, max_steps=limit)
