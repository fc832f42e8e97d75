"""Runs the trials of a tuned run before the run itself."""

from __future__ import annotations

from dataclasses import replace

from distill_runner.config.schema import Config
from distill_runner.console.screen import Screen
from distill_runner.jobs.preparation import Ready
from distill_runner.pipeline.runner import Runner
from distill_runner.pipeline.tuning import tune
from distill_runner.planning.stages import Plan
from distill_runner.tracking.trackers import NoTracker


def run_trials(config: Config, ready: Ready, *, screen: Screen) -> Ready:
    """Run the trials of the plan, and return the run of the tuned plan.

    The trials send no curves to the tracker; the run sends those of the stages that are kept.

    Args:
        config: the whole configuration.
        ready: the checked run; it is returned as it is if its plan has no trials.
        screen: prints each trial and its validation scores.

    Raises:
        DistillError: a stage failed; the finished ones are kept.
    """
    if not ready.plan.trials:
        return ready

    def make_runner(plan: Plan, settings: Config = config) -> Runner:
        return Runner(
            settings,
            plan,
            ready.data,
            machine=ready.machine,
            screen=screen,
            tracker=NoTracker(),
        )

    tuned = tune(ready.plan, make_runner, say=screen.print)
    # The trials of a forced run have trained every stage again.
    runner = make_runner(tuned.plan, replace(config, force=False))
    return replace(ready, plan=tuned.plan, runner=runner, tuned=tuned)
