"""Where the weights of a plan's models come from, as result and model card report it."""

from __future__ import annotations

from distill_runner.hub.locate import hub_revision, is_classifier, model_fingerprint
from distill_runner.hub.model_card import origin_of
from distill_runner.pipeline.model_folders import ModelFolders
from distill_runner.planning.stages import Plan, Stage
from distill_runner.results.origins import ModelSource, Origin


def from_classifier(stage: Stage, plan: Plan, folders: ModelFolders) -> bool:
    """Whether the learner's weights come from a classifier that was trained elsewhere."""
    giver = stage.earlier_stage or stage.layers_of
    if giver is not None:
        return from_classifier(plan.stage(giver), plan, folders)
    if stage.already_finetuned:
        return True
    return stage.reads_own_weights and is_classifier(folders.folder_of(stage))


def origin(stage: Stage, plan: Plan, folders: ModelFolders) -> Origin:
    """Whose weights the stage's learner had at its start."""
    giver = stage.earlier_stage or stage.layers_of
    if giver is not None:
        return origin(plan.stage(giver), plan, folders)
    if not stage.reads_own_weights:
        return Origin(base_model=None, license=None)
    return origin_of(stage.learner.id, folders.folder_of(stage))


def given_models(plan: Plan, folders: ModelFolders) -> dict[str, ModelSource]:
    """Each model that was not built here, by the name under which it was given."""
    given = {}
    for stage in plan.stages:
        if stage.learner.built is None:
            folder = folders.folder_of(stage)
            given[stage.learner.id] = ModelSource(
                content=model_fingerprint(folder), revision=hub_revision(folder)
            )
    return given
