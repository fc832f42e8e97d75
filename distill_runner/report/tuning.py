"""States the trials of a tuned run: what is tried, and what validation chose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from distill_runner.console.names import format_count
from distill_runner.planning.stages import Plan
from distill_runner.results.schema import RunResult


class Trial(Protocol):
    """What a trial varies, planned or finished."""

    @property
    def learning_rate(self) -> float | None:
        """None if it is not varied."""

    @property
    def epochs(self) -> int | None:
        """None if they are not varied."""


def name_trial(trial: Trial) -> str:
    """Return what a trial varies, such as "5e-05, 3 epochs"."""
    rate, epochs = trial.learning_rate, trial.epochs
    parts = [] if rate is None else [f"{rate:g}"]
    parts += [] if epochs is None else [format_count(epochs, "epoch")]
    return ", ".join(parts)


def list_values(trials: Sequence[Trial]) -> str:
    """Return what the trials vary, such as "learning rates 2e-05, 5e-05; epochs 2, 3"."""
    rates = dict.fromkeys(f"{one.learning_rate:g}" for one in trials if one.learning_rate)
    epochs = dict.fromkeys(str(one.epochs) for one in trials if one.epochs)
    listed = {"learning rates": rates, "epochs": epochs}
    return "; ".join(f"{what} {', '.join(values)}" for what, values in listed.items() if values)


def planned_trials_line(plan: Plan) -> str | None:
    """Announce the trials of a plan; None if nothing is tuned."""
    if not plan.trials:
        return None
    whom = f"{plan.method} gets"
    if plan.baseline is not None:
        whom = f"{plan.method} and the student without a teacher get the same"
    return (
        f"tuning: {whom} {len(plan.trials)} trials ({list_values(plan.trials)}); the plan is that "
        "of the first. Validation chooses, and is then no longer a result"
    )


def tuning_line(result: RunResult) -> str | None:
    """State the trials of a finished run and those that were kept; None if nothing was tuned."""
    tuning = result.tuning
    if tuning is None:
        return None
    count, values = len(tuning.trials), list_values(tuning.trials)
    kept = f"{result.method} {name_trial(tuning.trials[tuning.student])}"
    if tuning.baseline is None:
        return f"Tuned on validation, {count} trials ({values}): {kept}."
    alone = name_trial(tuning.trials[tuning.baseline])
    return (
        f"Tuned on validation, the same {count} trials for both ({values}): {kept}; "
        f"no teacher {alone}."
    )
