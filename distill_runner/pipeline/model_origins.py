"""Where the weights of a plan's models come from, as result and model card report it."""

from __future__ import annotations

from dataclasses import dataclass

from distill_runner.config.schema import Start
from distill_runner.hub.locate import hub_revision, is_classifier, model_fingerprint
from distill_runner.hub.model_card import origin_of
from distill_runner.pipeline.model_folders import ModelFolders
from distill_runner.planning.stages import Plan, Stage


@dataclass(frozen=True)
class GivenModel:
    """The content of a model that was not built here."""

    content: str  # fingerprint of its files
    revision: dict[str, str] | None  # the hub's repository and commit, where it is from there


@dataclass(frozen=True)
class Origin:
    """Whose weights a stage's learner had at its start.

    Args:
        base_model: the hub's name of the model, where it is known.
        license: of that model, where it is known.
        from_classifier: the weights come from a classifier that was trained elsewhere, and
            nobody here knows on which rows.
    """

    base_model: str | None = None
    license: str | None = None
    from_classifier: bool = False


def from_classifier(stage: Stage, plan: Plan, folders: ModelFolders) -> bool:
    """Whether the learner's weights come from a classifier that was trained elsewhere."""
    giver = stage.layers_from or stage.layers_before
    if giver is not None:
        return from_classifier(plan.stage(giver), plan, folders)
    spec = stage.learner
    return spec.taken or (
        spec.built is None
        and spec.start is Start.pretrained
        and is_classifier(folders.folder_of(stage))
    )


def origin(stage: Stage, plan: Plan, folders: ModelFolders) -> Origin:
    """Whose weights the stage's learner had at its start."""
    known = _base_model(stage, plan, folders)
    return Origin(
        base_model=known.get("base_model"),
        license=known.get("license"),
        from_classifier=from_classifier(stage, plan, folders),
    )


def given_models(plan: Plan, folders: ModelFolders) -> dict[str, GivenModel]:
    """Each model that was not built here, by the name under which it was given."""
    given = {}
    for stage in plan.stages:
        if stage.learner.built is None:
            folder = folders.folder_of(stage)
            given[stage.learner.id] = GivenModel(model_fingerprint(folder), hub_revision(folder))
    return given


def _base_model(stage: Stage, plan: Plan, folders: ModelFolders) -> dict[str, str]:
    """`base_model` and `license`, each where it is known."""
    before = stage.start or stage.layers_from or stage.layers_before
    if before is not None:
        return _base_model(plan.stage(before), plan, folders)
    spec = stage.learner
    if spec.built is not None or spec.start is not Start.pretrained:
        return {}
    return origin_of(spec.id, folders.folder_of(stage))
