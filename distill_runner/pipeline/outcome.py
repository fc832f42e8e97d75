"""The outcome of a run: its artifacts, and what is known about them."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass

from distill_runner.pipeline.model_folders import ModelFolders
from distill_runner.pipeline.model_origins import from_classifier, given_models, origin
from distill_runner.planning.stages import Plan
from distill_runner.results.origins import ModelSource, Origin
from distill_runner.storage.store import Artifact


@dataclass(frozen=True)
class Outcome:
    """The finished stages of a plan.

    Args:
        plan: the stages that were run, as they were trained; a chain may have ended early, and
            its last repetition need not be the deployed one.
        artifacts: of the stages that were run, by name, in the plan's order.
        trained: names of the stages that this run trained.
        broken_off: why a repetition could not be run, by its name; the chain ended before it.
        origins: the origin of each stage's initial weights, by the stage's name.
        from_classifiers: names of the stages whose weights came from a classifier that was trained
            elsewhere, on unknown rows.
        given_models: the source of each model that was not built here, by the name it was given
            under.
    """

    plan: Plan
    artifacts: Mapping[str, Artifact]
    trained: tuple[str, ...]
    broken_off: Mapping[str, str]
    origins: Mapping[str, Origin]
    from_classifiers: frozenset[str]
    given_models: Mapping[str, ModelSource]


def outcome_of(
    plan: Plan,
    planned: Plan,
    *,
    finished: Mapping[str, Artifact],
    folders: ModelFolders,
    trained: Set[str],
    broken_off: Mapping[str, str],
) -> Outcome:
    """Return the outcome of a run, its stages in the plan's order.

    Args:
        plan: as it was carried out.
        planned: as it was made.
        finished: the artifacts of all stages that are done, by name.
        folders: finds the plan's models.
        trained: names of the stages that this run trained.
        broken_off: why a repetition could not be run, by its name.
    """
    done = [stage.name for stage in planned.stages if stage.name in finished]
    return Outcome(
        plan=plan,
        artifacts={name: finished[name] for name in done},
        trained=tuple(name for name in done if name in trained),
        broken_off=dict(broken_off),
        origins={stage.name: origin(stage, planned, folders) for stage in plan.stages},
        from_classifiers=frozenset(
            stage.name for stage in plan.stages if from_classifier(stage, planned, folders)
        ),
        given_models=given_models(planned, folders),
    )
