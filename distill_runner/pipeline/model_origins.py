"""The origins of the weights of a plan's models, as the result and the model card report them."""

from __future__ import annotations

from distill_runner.hub.locate import hub_revision, is_classifier, model_fingerprint
from distill_runner.hub.model_card import origin_of
from distill_runner.pipeline.model_folders import ModelFolders
from distill_runner.planning.stages import Plan, Stage
from distill_runner.results.origins import ModelSource, Origin


def from_classifier(stage: Stage, plan: Plan, folders: ModelFolders) -> bool:
    """Return whether the learner's weights come from a classifier that was trained elsewhere."""
    source = stage.earlier_stage or stage.layers_of
    if source is not None:
        return from_classifier(plan.stage(source), plan, folders)
    if stage.is_given:
        return True  # nobody knows which rows a file's author has seen
    return stage.reads_own_weights and is_classifier(folders.folder_of(stage))


def origin(stage: Stage, plan: Plan, folders: ModelFolders) -> Origin:
    """Return the origin of the weights that the stage's learner started with."""
    source = stage.earlier_stage or stage.layers_of
    if source is not None:
        return origin(plan.stage(source), plan, folders)
    if not stage.reads_own_weights:
        return Origin(base_model=None, license=None)
    return origin_of(stage.learner.id, folders.folder_of(stage))


def given_models(plan: Plan, folders: ModelFolders) -> dict[str, ModelSource]:
    """Return the source of each model that was not built here, by the name it was given under."""
    given = {}
    for stage in plan.stages:
        if stage.learner.built is None and stage.answers is None:
            folder = folders.folder_of(stage)
            given[stage.learner.id] = ModelSource(
                content=model_fingerprint(folder), revision=hub_revision(folder)
            )
    return given
