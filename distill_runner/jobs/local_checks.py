"""Checks local files and folders before anything is requested from the hub."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from distill_runner.config.schema import Config, Dataset
from distill_runner.data.answers import check_file
from distill_runner.data.inputs import settings_of, source_of
from distill_runner.data.readers.files import locate
from distill_runner.data.readers.tables import check_columns
from distill_runner.data.unlabelled import as_dataset
from distill_runner.errors import HubUnreachable, Refused, combine_refusals
from distill_runner.hub.files import check_vocabulary, weights_of
from distill_runner.hub.locate import hub_revision, is_classifier, locate_model
from distill_runner.planning.stages import TASK, Plan, Stage
from distill_runner.tasks.kinds import task_of

_Check = Callable[[], None]


def check_local(config: Config, plan: Plan) -> None:
    """Refuse wrong local paths, columns and model folders among those that the plan reads.

    Files that must be fetched from the hub are checked later.

    Raises:
        Refused: something is wrong; the message names every problem.
    """
    refusals: dict[str, Refused] = {}
    for check in (*_data_checks(config, plan), *_model_checks(config, plan)):
        try:
            check()
        except HubUnreachable:
            continue
        except Refused as refusal:
            refusals.setdefault(str(refusal), refusal)
    if refusals:
        raise combine_refusals(list(refusals.values()))


def is_local_classifier(model: str, key: str, config: Config) -> bool:
    """Return whether a model is a trained classifier; True if it is not on this machine."""
    try:
        return is_classifier(_folder(model, key, config))
    except Refused:
        return True


def _folder(model: str, key: str, config: Config) -> Path:
    directory = config.paths.models
    return locate_model(
        model,
        models_dir=Path(directory) if directory else None,
        key=key,
        config_only=True,
        fetch_missing=False,
    )


def _data_checks(config: Config, plan: Plan) -> Iterator[_Check]:
    for name in plan.data:
        settings, prefix = settings_of(config, name), "" if name == TASK else f"{name}."
        if not settings.generate:  # with it, a path is refused as unread
            yield partial(_check_files, settings, f"{prefix}dataset", config)
        if plan.reads_unlabelled(name) and settings.unlabelled.in_files:
            at = f"{prefix}dataset.unlabelled"
            yield partial(_check_files, as_dataset(settings), at, config)


def _check_files(settings: Dataset, at: str, config: Config) -> None:
    try:
        source = source_of(settings, config, fetch_missing=False)
        if source is None:
            return  # generated
        refusals = []
        for paths in locate(settings, source).values():
            try:
                check_columns(task_of(settings).label_reader(settings), paths)
            except Refused as refusal:
                refusals.append(refusal)
        if refusals:
            raise combine_refusals(refusals)
    except Refused as error:
        raise error.rename_key("dataset", at) from error


def _model_checks(config: Config, plan: Plan) -> Iterator[_Check]:
    for stage in plan.stages:
        if stage.answers is not None:
            yield partial(check_file, Path(stage.answers.path), key=stage.learner.config_key)
        elif stage.learner.built is None:
            yield partial(_check_folder, stage, config)


def _check_folder(stage: Stage, config: Config) -> None:
    key = stage.learner.config_key
    folder = _folder(stage.learner.id, key, config)
    if hub_revision(folder) is not None:
        return  # files missing from the cache can still be fetched
    check_vocabulary(folder, key=key)
    if stage.reads_own_weights:
        weights_of(folder, key=key)
