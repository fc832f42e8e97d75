"""Plans the trials of a tuned run: the same ones for the deployed student and for its baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from distill_runner.config.schema import Config, Tune
from distill_runner.errors import Refused
from distill_runner.planning.stages import Plan, Stage, TrialSettings


def add_trials(plan: Plan, config: Config) -> Plan:
    """Return the plan of the first trial, with the settings of all of them.

    A single pair of values is no trial but a setting. Without any, the plan stays as it is.

    Raises:
        Refused: the plan cannot be tuned.
    """
    tune = config.tune
    if not tune.learning_rates and not tune.epochs:
        return plan
    _check_values(tune)
    _check_plan(plan, tune)
    trials = _trials(tune)
    if len(trials) > 1:
        _check_validation(config)
    return replace(plan_trial(plan, trials[0]), trials=trials if len(trials) > 1 else ())


def plan_trial(plan: Plan, trial: TrialSettings) -> Plan:
    """Return the plan in which the deployed stage and the baseline have the trial's training.

    The stages before them stay as they are, so that all trials share them.
    """

    def settle(stage: Stage) -> Stage:
        tuned = stage.name in (plan.deployed, plan.baseline)
        return replace(stage, training=trial.apply(stage.training)) if tuned else stage

    return replace(plan, stages=tuple(map(settle, plan.stages)))


def _trials(tune: Tune) -> tuple[TrialSettings, ...]:
    rates: Sequence[float | None] = tune.learning_rates or [None]
    epochs: Sequence[int | None] = tune.epochs or [None]
    return tuple(TrialSettings(rate, passes) for rate in rates for passes in epochs)


def _first_key(tune: Tune) -> tuple[str, Sequence[float]]:
    """Return the key to blame for the trials, and its values."""
    name = "learning_rates" if tune.learning_rates else "epochs"
    return f"tune.{name}", tune.learning_rates or tune.epochs


def _check_values(tune: Tune) -> None:
    lists: dict[str, Sequence[float]] = {
        "tune.learning_rates": tune.learning_rates,
        "tune.epochs": tune.epochs,
    }
    for key, values in lists.items():
        different = list(dict.fromkeys(values))
        if len(different) < len(values):
            raise Refused(
                f"{key} names a value twice.",
                key=key,
                value=values,
                rule="different values",
                way_out=f"{key}=[{','.join(f'{one:g}' for one in different)}]",
            )


def _check_plan(plan: Plan, tune: Tune) -> None:
    if plan.chain or plan.members or plan.stopping:
        key, values = _first_key(tune)
        raise Refused(
            f"method={plan.method} repeats its student; a trial would change only the last one.",
            key=key,
            value=values,
            rule="empty, unless the method deploys one student that no repetition of it teaches",
            way_out="tune=none, or another method",
        )


def _check_validation(config: Config) -> None:
    if config.dataset.split.validation == 0:
        key, values = _first_key(config.tune)
        raise Refused(
            "Validation chooses among the trials, and there are no validation rows.",
            key=key,
            value=values,
            rule="one value or none without dataset.split.validation",
            way_out="tune=none, or dataset.split.validation=0.1",
        )
