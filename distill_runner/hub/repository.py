"""Describes a repository of the hub, and chooses the files that a run needs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from distill_runner.hub.files import PYTORCH, SAFETENSORS, TOKENIZER_SETTINGS, VOCABULARIES

DATA = re.compile(r"(train|validation|valid|dev|test)[^/]*\.(parquet|jsonl?|[ct]sv)")
SHARD = re.compile(r"(.*)-\d+-of-(\d+)(\..*)")


class Unfit(Exception):
    """Raised if a repository or folder lacks something; the message says what."""


@dataclass(frozen=True)
class Repo:
    """A repository of the hub, and the kind of files wanted from it."""

    id: str
    kind: Literal["model", "dataset"]
    subset: str | None = None
    config_only: bool = False  # for a model: only config.json
    weights: bool = True  # for a model; False: only config and tokenizer


def model_files(names: Iterable[str]) -> list[str]:
    """Return config, tokenizer files, and weights in one format, safetensors if there are any."""
    names = list(names)
    files = {"config.json"} | VOCABULARIES | TOKENIZER_SETTINGS
    weights = [name for name in names if SAFETENSORS.fullmatch(name)]
    weights = weights or [name for name in names if PYTORCH.fullmatch(name)]
    return weights + [name for name in names if name in files]


def data_files(names: Iterable[str], subset: str | None) -> list[str]:
    """Return the data files of one folder: the subset's, or the only one that has any.

    Raises:
        Unfit: there is no such folder.
    """
    folders: dict[str, list[str]] = {}
    for name in names:
        if DATA.fullmatch(PurePosixPath(name).name):
            folders.setdefault(PurePosixPath(name).parent.as_posix(), []).append(name)
    places = [subset, f"data/{subset}"] if subset else [".", "data"]
    if not subset and len(folders) == 1:
        places = list(folders)
    for place in places:
        if place in folders:
            return folders[place]
    folder = f"no folder {subset!r} with data files" if subset else "no data files of its own"
    held = f"; its subsets: {', '.join(sorted(folders))}" if folders else ""
    raise Unfit(f"has {folder} (train.*, validation.*, test.*){held}")


def wanted_files(repo: Repo, names: Iterable[str]) -> list[str]:
    """Return the files of `repo` to fetch.

    Raises:
        Unfit: a needed file is missing.
    """
    if repo.kind == "dataset":
        wanted = data_files(names, repo.subset)
    else:
        wanted = model_files(names)
        if "config.json" not in wanted:
            raise Unfit("has no config.json")
        if repo.config_only:
            return ["config.json"]
        if not any(map(_is_weights, wanted)):
            raise Unfit("has no weights (model.safetensors or pytorch_model.bin)")
        if VOCABULARIES.isdisjoint(wanted):
            raise Unfit("has no vocabulary (tokenizer.json, vocab.txt …)")
        if not repo.weights:
            return [name for name in wanted if not _is_weights(name)]
    _check_shards(wanted)
    return wanted


def _is_weights(name: str) -> bool:
    return bool(SAFETENSORS.fullmatch(name) or PYTORCH.fullmatch(name))


def _check_shards(names: Iterable[str]) -> None:
    counts: dict[tuple[str, str, str], int] = {}
    for name in names:
        if shard := SHARD.fullmatch(name):
            stem, total, suffix = shard.groups()
            counts[stem, total, suffix] = counts.get((stem, total, suffix), 0) + 1
    for (stem, total, suffix), count in counts.items():
        if count != int(total):
            raise Unfit(f"has {count} of {int(total)} files {stem}-…{suffix}")
