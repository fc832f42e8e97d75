"""Locates models and data sets in local folders, in the hub's cache and on the hub."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from distill_runner.errors import HubUnreachable, Refused
from distill_runner.hub.download import fetch, find_hub_fault
from distill_runner.hub.files import (
    file_digest,
    hub_revision,
    is_classifier,
    model_fingerprint,
    names_under,
    read_config,
    weight_files,
)
from distill_runner.hub.repository import Repo, Unfit, data_files, wanted_files

__all__ = [
    "file_digest",
    "hub_revision",
    "is_classifier",
    "locate_dataset",
    "locate_model",
    "model_fingerprint",
    "read_config",
    "weight_files",
]


def locate_model(
    model: str,
    *,
    models_dir: Path | None,
    key: str,
    config_only: bool = False,
    weights: bool = True,
    fetch_missing: bool = True,
) -> Path:
    """Find a model's folder: `model` itself, under `models_dir`, in the cache or on the hub.

    Args:
        model: a folder, or a hub id such as `google-bert/bert-base-uncased`.
        models_dir: a folder of models, named by the whole id or by its last part.
        key: the configuration key to blame.
        config_only: whether only config.json is needed.
        weights: whether the weights are needed too; if not, they are taken only from the cache.
        fetch_missing: ask the hub for what is missing; False raises `HubUnreachable` instead.

    Returns:
        A folder with config.json. From the hub it also has weights and a vocabulary, unless the
        arguments exclude them; a local folder may lack them, as for a random start.

    Raises:
        Refused: the model is not found, the folder is not a model's, or the hub does not answer.
    """
    way_out = (
        f"paths.models=DIR where DIR/{_last_part(model)} is the model's folder; or the folder "
        f"itself in {key}; or one run with network access, which fills the hub's cache; "
        "or profile=tiny"
    )
    for folder in [_path(model), *_candidates(models_dir, "paths.models", _ids(model))]:
        if model and folder.is_dir():
            return _checked_model_folder(folder, model, key=key)
    repo = Repo(model, "model", config_only=config_only, weights=weights)
    return _from_hub(repo, key=key, way_out=way_out, fetch_missing=fetch_missing)


def locate_dataset(
    hub_id: str,
    *,
    subset: str | None,
    datasets_dir: Path | None,
    key: str,
    fetch_missing: bool = True,
) -> Path:
    """Find a data set's folder: under `datasets_dir`, in the cache or on the hub.

    Args:
        hub_id: the data set's id, such as `nyu-mll/glue`.
        subset: the data set's configuration, a folder such as `sst2`; None if it has only one.
        datasets_dir: a folder with <id>/<subset>, <last part of the id>/<subset> or <subset>.
        key: the configuration key to blame.
        fetch_missing: ask the hub for what is missing; False raises `HubUnreachable` instead.

    Returns:
        A folder that holds train.*, validation.* and so on, or their numbered shards.

    Raises:
        Refused: the data set is not found, the folder has no data files, or the hub does not
            answer.
    """
    local = f"DIR/{_last_part(hub_id)}" + (f"/{subset}" if subset else "")
    way_out = (
        f"dataset.path=FOLDER; or paths.datasets=DIR where {local} holds the files; or one run "
        "with network access, which fills the hub's cache; or profile=tiny"
    )
    names = [f"{name}/{subset}" for name in _ids(hub_id)] + [subset] if subset else _ids(hub_id)
    for folder in _candidates(datasets_dir, "paths.datasets", names):
        if folder.is_dir():
            return _checked_data_folder(folder, hub_id, key=key)
    repo = Repo(hub_id, "dataset", subset)
    return _from_hub(repo, key=key, way_out=way_out, fetch_missing=fetch_missing)


def _path(name: str) -> Path:
    return Path(os.path.expanduser(name))  # Path.expanduser raises for an unknown user


def _last_part(hub_id: str) -> str:
    return hub_id.rpartition("/")[2]


def _ids(hub_id: str) -> list[str]:
    return [hub_id, _last_part(hub_id)]


def _candidates(root: Path | None, root_key: str, names: Sequence[str]) -> list[Path]:
    if root is None:
        return []
    if not root.expanduser().is_dir():
        raise Refused(f"There is no folder {root}.", key=root_key, value=str(root))
    return [root.expanduser() / name for name in names if not _looks_like_path(name)]


def _looks_like_path(name: str) -> bool:
    return not name or name in {".", ".."} or name.startswith(("./", "../", "/", "~"))


def _checked_model_folder(folder: Path, model: str, *, key: str) -> Path:
    try:
        read_config(folder)
    except Refused as error:
        rule = "a model folder holds config.json, weights and tokenizer files"
        raise Refused(error.what, key=key, value=model, rule=rule) from error
    return folder


def _checked_data_folder(folder: Path, hub_id: str, *, key: str) -> Path:
    try:
        return (folder / data_files(names_under(folder), subset=None)[0]).parent
    except Unfit as error:
        raise Refused(f"{folder} {error}.", key=key, value=hub_id) from error


def _from_hub(repo: Repo, *, key: str, way_out: str, fetch_missing: bool = True) -> Path:
    from huggingface_hub.errors import HFValidationError

    def refused(what: str, kind: type[Refused] = Refused) -> Refused:
        return kind(what, key=key, value=repo.id, way_out=way_out)

    if _looks_like_path(repo.id) and repo.kind == "dataset":
        raise Refused(
            f"{repo.id!r} is a path.",
            key=key,
            value=repo.id,
            rule="a hub id such as nyu-mll/glue",
            way_out=f"dataset.path={repo.id}",
        )
    if _looks_like_path(repo.id):
        raise Refused(
            f"There is no folder {repo.id!r}.",
            key=key,
            value=repo.id,
            rule="a model's folder, or a hub id",
            way_out="a path from the current folder, or a hub id such as distilbert-base-uncased",
        )
    try:
        folder = _cached(replace(repo, weights=True)) or _cached(repo)
    except HFValidationError as error:
        raise refused(f"{repo.id!r} is neither a folder nor a hub id.") from error
    if folder is not None:
        return folder
    if not fetch_missing:
        raise refused(f"{repo.id} is neither in a local folder nor in the cache.", HubUnreachable)
    if (failure := find_hub_fault(repo)) is not None:
        raise refused(failure, HubUnreachable)
    if (failure := fetch(repo)) is not None:
        raise refused(failure)
    if (folder := _cached(repo)) is None:
        raise refused(f"The hub's copy of {repo.id} arrived incomplete.")
    return folder


def _cached(repo: Repo) -> Path | None:
    """Return the folder in the hub's cache if it has all wanted files; uses no network."""
    from huggingface_hub import get_cached_repo_tree, snapshot_download
    from huggingface_hub.errors import CachedRepoTreeNotFoundError, LocalEntryNotFoundError

    try:
        # An empty pattern list requests no file: completeness is checked below.
        found = snapshot_download(
            repo.id, repo_type=repo.kind, local_files_only=True, allow_patterns=[]
        )
    except LocalEntryNotFoundError:
        return None
    snapshot = Path(found)
    try:
        names = [file.path for file in get_cached_repo_tree(repo.id, repo_type=repo.kind)]
    except CachedRepoTreeNotFoundError:
        names = names_under(snapshot)
    try:
        wanted = wanted_files(repo, names)
    except Unfit:
        return None
    if not all((snapshot / name).is_file() for name in wanted):
        return None
    return snapshot if repo.kind == "model" else (snapshot / wanted[0]).parent
