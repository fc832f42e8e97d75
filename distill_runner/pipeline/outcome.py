"""What a run leaves: artifacts, and what is known of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from distill_runner.planning.stages import Plan
from distill_runner.results.origins import ModelSource, Origin
from distill_runner.storage.store import Artifact


@dataclass(frozen=True)
class Outcome:
    """The finished stages of a plan.

    Args:
        plan: the stages that took place, as they were trained: repetitions may end early, and
            not the last one be deployed.
        artifacts: of the stages that took place, by name, in the plan's order.
        trained: names of the stages that this run has trained.
        broken_off: why a repetition could not take place, by its name: the chain ended before it.
        origins: whose weights each stage's learner had at its start, by the stage's name.
        from_classifiers: names of the stages whose weights came from a classifier that was trained
            elsewhere; nobody here knows on which rows.
        given_models: the content of each model that was not built here, by the name under
            which it was given.
    """

    plan: Plan
    artifacts: Mapping[str, Artifact]
    trained: tuple[str, ...]
    broken_off: Mapping[str, str]
    origins: Mapping[str, Origin]
    from_classifiers: frozenset[str]
    given_models: Mapping[str, ModelSource]
