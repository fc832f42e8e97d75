"""The student without a teacher: the deployed model, trained for no fewer steps.

Whoever is trained for longer is often better for that alone. The baseline has the deployed
learner's model, start and layers, and where that learner has made more optimiser steps, in its
own stage and in those that it started from, as many as it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from distill_runner.config.schema import BaselineSteps, Select, Training
from distill_runner.planning.stages import Plan, Stage, steps_of

StepsOf = Callable[[Stage], int | None]  # of the stage alone; None: not known yet


def steps_made(plan: Plan, name: str, steps: StepsOf) -> int | None:
    """All optimiser steps of the learner that the stage leaves; None: not known yet."""
    total = 0
    for stage in plan.lineage(name):
        made = steps(stage)
        if made is None:
            return None
        total += made
    return total


def with_learner_of(baseline: Stage, plan: Plan, name: str) -> Stage:
    """The baseline with the learner of the stage `name`, as it was before its first stage."""
    first = plan.lineage(name)[-1]
    return replace(baseline, learner=first.learner, initialisation=first.initialisation)


def one_learner(plan: Plan, names: Sequence[str]) -> bool:
    """Whether the stages' learners began as the same model."""
    first = [plan.lineage(name)[-1] for name in names]
    models = [(stage.learner, stage.initialisation) for stage in first]
    return all(model == models[0] for model in models)


def trained_like(
    baseline: Stage,
    plan: Plan,
    kept: Sequence[str],
    *,
    rows: int,
    steps: StepsOf,
    wish: BaselineSteps,
) -> Stage | None:
    """The baseline as it is trained; None where that is not known yet.

    Args:
        kept: the stages of which one is deployed.
        rows: that the baseline trains on.
        steps: of the other stages.
        wish: how long it is trained.
    """
    found: list[Stage] = []
    for name in kept:
        one = replace(with_learner_of(baseline, plan, name), like=())
        if wish is not BaselineSteps.epochs:
            made = steps_made(plan, name, steps)
            if made is None:
                return None
            one = replace(one, training=_for_steps(one.training, rows, made))
        if wish is BaselineSteps.best_epoch:
            one = replace(one, training=replace(one.training, select=Select.best_validation))
        found.append(one)
    return found[0] if all(one == found[0] for one in found) else None


def _for_steps(training: Training, rows: int, steps: int) -> Training:
    """The training with at least so many steps, as far as `max_steps` lets it."""
    wanted = steps if training.max_steps is None else min(steps, training.max_steps)
    if wanted <= steps_of(training, rows):
        return training
    a_pass = -(-rows // training.batch_size)
    epochs = -(-wanted // a_pass)
    # Whole passes are those of a plain fine-tuning, which may be in the store.
    limit = training.max_steps if epochs * a_pass == wanted else wanted
    return replace(training, epochs=epochs, max_steps=limit)
