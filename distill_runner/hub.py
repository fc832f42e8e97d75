"""Where models and data sets are found: own folders, then the hub's cache, then the hub.

The hub's client leaves some of its requests without a time limit, so the clock is
kept here: a probe that gives up soon goes first, and the download runs in a child
process that is ended once nothing arrives any more.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Literal

from distill_runner.errors import Refused

PROBE_SECONDS = 3.0  # for the hub's first answer
STALL_SECONDS = 12.0  # without a byte; leaves room for one retry of REQUEST_SECONDS
REQUEST_SECONDS = 5  # of one request inside the hub's client, unless the user set it

# One of these is the vocabulary; the settings beside it may be missing.
VOCABULARIES = {"tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "spm.model"} | {
    "sentencepiece.bpe.model",
    "tokenizer.model",
}
TOKENIZER_SETTINGS = {"tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"} | {
    "merges.txt",
    "bpe.codes",
}
SAFETENSORS = re.compile(r"model(-\d+-of-\d+)?\.safetensors(\.index\.json)?")
PYTORCH = re.compile(r"pytorch_model(-\d+-of-\d+)?\.bin(\.index\.json)?")
DATA = re.compile(r"(train|validation|valid|dev|test)[^/]*\.(parquet|jsonl?|[ct]sv)")
SHARD = re.compile(r"(.*)-\d+-of-(\d+)(\..*)")


class _Unfit(Exception):
    """A repository or folder that does not hold what is needed; the message says what."""


@dataclass(frozen=True)
class _Repo:
    """A repository of the hub, and of it what is wanted."""

    id: str
    kind: Literal["model", "dataset"]
    subset: str | None = None


@dataclass(frozen=True)
class _Stamp:
    path: str
    size: int
    mtime_ns: int


def locate_model(model: str, *, models_dir: Path | None, key: str) -> Path:
    """Find the folder of a model: `model` itself, under `models_dir`, in the cache, on the hub.

    Args:
        model: a folder, or a hub id such as `google-bert/bert-base-uncased`.
        models_dir: holds folders named by the whole id or by its last part.
        key: the configuration key to blame.

    Returns:
        A folder with config.json. What comes from the hub also has weights and a
        vocabulary; in the user's own folders these may be missing, as for a random start.

    Raises:
        Refused: nowhere to be found, not a model folder, or the hub does not answer.
    """
    way_out = (
        f"paths.models=DIR where DIR/{_last_part(model)} is the model's folder; or the folder "
        f"itself in {key}; or one run with network access, which fills the hub's cache; "
        "or profile=tiny"
    )
    for folder in [_path(model), *_candidates(models_dir, "paths.models", _ids(model))]:
        if model and folder.is_dir():
            return _checked_model_folder(folder, model, key=key)
    return _from_hub(_Repo(model, "model"), key=key, way_out=way_out)


def locate_dataset(hub_id: str, *, subset: str | None, datasets_dir: Path | None, key: str) -> Path:
    """Find the folder with the data files: under `datasets_dir`, in the cache, on the hub.

    Args:
        hub_id: such as `nyu-mll/glue`.
        subset: the configuration of the data set, a folder such as `sst2`; None: it has one only.
        datasets_dir: holds <id>/<subset>, <last part of the id>/<subset> or <subset>.
        key: the configuration key to blame.

    Returns:
        A folder that holds train.*, validation.* and so on, or their numbered shards.

    Raises:
        Refused: nowhere to be found, a folder without data, or the hub does not answer.
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
    return _from_hub(_Repo(hub_id, "dataset", subset), key=key, way_out=way_out)


def read_config(folder: Path) -> dict[str, object]:
    """Read a model folder's config.json.

    Raises:
        Refused: it is missing or holds no JSON object.
    """
    file = folder / "config.json"
    if not file.is_file():
        raise Refused(f"{folder} is not a model folder: it has no config.json.")
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise Refused(f"{file} is not JSON: {error}.") from error
    if not isinstance(config, dict):
        raise Refused(f"{file} holds no JSON object.")
    return config


def model_fingerprint(folder: Path) -> str:
    """Digest of what decides a loaded model: names and contents of config, weights, tokenizer.

    A file is read once per process as long as its size and time of change stay.

    Returns:
        SHA-256 in hex, the same wherever the folder lies.
    """
    names = _model_files(_names(folder))
    digests = []
    for name in sorted(names):
        stat = (folder / name).stat()
        stamp = _Stamp(str((folder / name).resolve()), stat.st_size, stat.st_mtime_ns)
        digests.append((name, _digest(stamp)))
    return hashlib.sha256(json.dumps(digests).encode()).hexdigest()


@lru_cache(maxsize=4096)
def _digest(stamp: _Stamp) -> str:
    with open(stamp.path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _names(folder: Path) -> list[str]:
    return [
        path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()
    ]


def _model_files(names: Iterable[str]) -> list[str]:
    """Config, tokenizer files, and weights in one format: safetensors where there are any."""
    names = list(names)
    files = {"config.json"} | VOCABULARIES | TOKENIZER_SETTINGS
    weights = [name for name in names if SAFETENSORS.fullmatch(name)]
    weights = weights or [name for name in names if PYTORCH.fullmatch(name)]
    return weights + [name for name in names if name in files]


def _data_files(names: Iterable[str], subset: str | None) -> list[str]:
    """The data files of one folder: the subset's, or the only one that holds any.

    Raises:
        _Unfit: there is no such folder.
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
    raise _Unfit(f"has {folder} (train.*, validation.*, test.*){held}")


def _wanted(repo: _Repo, names: Iterable[str]) -> list[str]:
    """The files of `repo` to fetch.

    Raises:
        _Unfit: what is needed is not among them.
    """
    if repo.kind == "dataset":
        wanted = _data_files(names, repo.subset)
    else:
        wanted = _model_files(names)
        if "config.json" not in wanted:
            raise _Unfit("has no config.json")
        if not any(SAFETENSORS.fullmatch(name) or PYTORCH.fullmatch(name) for name in wanted):
            raise _Unfit("has no weights (model.safetensors or pytorch_model.bin)")
        if VOCABULARIES.isdisjoint(wanted):
            raise _Unfit("has no vocabulary (tokenizer.json, vocab.txt …)")
    _check_shards(wanted)
    return wanted


def _check_shards(names: Iterable[str]) -> None:
    counts: dict[tuple[str, str, str], int] = {}
    for name in names:
        if shard := SHARD.fullmatch(name):
            stem, total, suffix = shard.groups()
            counts[stem, total, suffix] = counts.get((stem, total, suffix), 0) + 1
    for (stem, total, suffix), count in counts.items():
        if count != int(total):
            raise _Unfit(f"has {count} of {int(total)} files {stem}-…{suffix}")


def _path(name: str) -> Path:
    return Path(os.path.expanduser(name))  # Path.expanduser raises where there is no such user


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
        return (folder / _data_files(_names(folder), subset=None)[0]).parent
    except _Unfit as error:
        raise Refused(f"{folder} {error}.", key=key, value=hub_id) from error


def _from_hub(repo: _Repo, *, key: str, way_out: str) -> Path:
    from huggingface_hub.errors import HFValidationError

    def refused(what: str) -> Refused:
        return Refused(what, key=key, value=repo.id, way_out=way_out)

    if _looks_like_path(repo.id):
        raise refused(f"There is no folder {repo.id!r}.")
    try:
        folder = _cached(repo)
    except HFValidationError as error:
        raise refused(f"{repo.id!r} is neither a folder nor a hub id.") from error
    if folder is not None:
        return folder
    if (failure := _unreachable(repo) or _download(repo)) is not None:
        raise refused(failure)
    if (folder := _cached(repo)) is None:
        raise refused(f"The hub's copy of {repo.id} arrived incomplete.")
    return folder


def _cached(repo: _Repo) -> Path | None:
    """The folder in the hub's cache where all that is wanted is there, asking no network."""
    from huggingface_hub import get_cached_repo_tree, snapshot_download
    from huggingface_hub.errors import CachedRepoTreeNotFoundError, LocalEntryNotFoundError

    try:
        # No patterns asks for no file: completeness is judged here, by what we want.
        found = snapshot_download(
            repo.id, repo_type=repo.kind, local_files_only=True, allow_patterns=[]
        )
    except LocalEntryNotFoundError:
        return None
    snapshot = Path(found)
    try:
        names = [file.path for file in get_cached_repo_tree(repo.id, repo_type=repo.kind)]
    except CachedRepoTreeNotFoundError:
        names = _names(snapshot)
    try:
        wanted = _wanted(repo, names)
    except _Unfit:
        return None
    if not all((snapshot / name).is_file() for name in wanted):
        return None
    return snapshot if repo.kind == "model" else (snapshot / wanted[0]).parent


def _unreachable(repo: _Repo) -> str | None:
    """Why the hub cannot be asked; None when it answers. Takes about PROBE_SECONDS at most."""
    from huggingface_hub import constants, get_session

    not_here = f"{repo.id} is in no local folder and not in the hub's cache"
    if constants.is_offline_mode():
        return f"{not_here}, and HF_HUB_OFFLINE keeps the hub from being asked."
    outcome = [f"no answer within {PROBE_SECONDS:g} s"]

    def probe() -> None:
        url = f"{constants.ENDPOINT}/api/{repo.kind}s/{repo.id}"
        try:
            response = get_session().head(url, timeout=PROBE_SECONDS, follow_redirects=False)
        except Exception as error:  # whatever it was, it is the reason to tell
            outcome[0] = f"{type(error).__name__}: {error}"
        else:
            broken = response.status_code >= 500
            outcome[0] = f"status {response.status_code}" if broken else ""

    # A thread, because the resolver of host names heeds no timeout.
    prober = threading.Thread(target=probe, daemon=True)
    prober.start()
    prober.join(PROBE_SECONDS + 1)
    reason = outcome[0]
    return f"{not_here}, and {constants.ENDPOINT} cannot be reached ({reason})." if reason else None


def _download(repo: _Repo) -> str | None:
    """Fill the cache from the hub in a child process; returns what went wrong, if anything."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    order = {
        "repo": [repo.id, repo.kind, repo.subset],
        "endpoint": constants.ENDPOINT,
        "cache_dir": constants.HF_HUB_CACHE,
    }
    environment = {
        "HF_HUB_ETAG_TIMEOUT": str(REQUEST_SECONDS),
        "HF_HUB_DOWNLOAD_TIMEOUT": str(REQUEST_SECONDS),
        "HF_HUB_DISABLE_XET": "1",  # plain HTTP writes as it reads, so a stall can be seen
        **os.environ,
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
    }
    storage = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repo.id, repo_type=repo.kind)
    command = [sys.executable, "-P", "-m", "distill_runner.hub", json.dumps(order)]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            alive = _ends_without_stalling(child, storage)
        finally:
            child.kill()
        answer = child.stdout.read().strip() if child.stdout else ""
    if not alive:
        return f"{constants.ENDPOINT} stopped sending {repo.id}: nothing for {STALL_SECONDS:g} s."
    if child.returncode != 0 and not answer:
        return f"The download of {repo.id} ended with status {child.returncode}."
    return answer or None


def _ends_without_stalling(child: subprocess.Popen[str], storage: Path) -> bool:
    """Wait for the child as long as files under `storage` grow."""
    size, since = -1, time.monotonic()
    while True:
        try:
            child.wait(timeout=0.1)
        except subprocess.TimeoutExpired:
            grown = _bytes_under(storage)
            if grown != size:
                size, since = grown, time.monotonic()
            elif time.monotonic() - since > STALL_SECONDS:
                return False
        else:
            return True


def _bytes_under(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_size
        except FileNotFoundError:  # renamed by the child while we look
            continue
    return total


def _fetch(repo: _Repo, *, endpoint: str, cache_dir: str) -> str:
    """Download what is wanted of `repo`; returns one sentence on what went wrong, or nothing."""
    from huggingface_hub import HfApi, constants, snapshot_download

    constants.DOWNLOAD_CHUNK_SIZE = 2**16  # written in small pieces, growth tells slow from dead
    try:
        names = HfApi(endpoint=endpoint).list_repo_files(repo.id, repo_type=repo.kind)
        snapshot_download(
            repo.id,
            repo_type=repo.kind,
            endpoint=endpoint,
            cache_dir=cache_dir,
            allow_patterns=[glob.escape(name) for name in _wanted(repo, names)],
        )
    except _Unfit as error:
        return f"{repo.id} on {endpoint} {error}."
    except Exception as error:  # the parent turns it into a refusal
        return _explained(error, repo, endpoint)
    return ""


def _explained(error: BaseException, repo: _Repo, endpoint: str) -> str:
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError

    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, HfHubHTTPError):
        cause = cause.__cause__
    status = cause.response.status_code if isinstance(cause, HfHubHTTPError) else None
    if isinstance(cause, GatedRepoError):
        return (
            f"{repo.id} on {endpoint} is gated: ask for access there, "
            "then set HF_TOKEN to a token of that account."
        )
    if status in {401, 403}:
        # The hub also answers so for ids that do not exist, lest it give private ones away.
        return (
            f"{endpoint} does not hand out {repo.id} (status {status}): the id is wrong, "
            "or it is private and HF_TOKEN must hold a token that may read it."
        )
    if status == 404:
        return f"{endpoint} knows no {repo.kind} {repo.id!r}."
    reason = " ".join(str(error).split()) or "no reason given"
    return f"{repo.id} could not be fetched from {endpoint} ({type(error).__name__}: {reason})."


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _main() -> None:
    order = json.loads(sys.argv[1])
    # A parent that was killed can no longer end us, and a silent hub never will.
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    repo = _Repo(*order["repo"])
    with redirect_stdout(sys.stderr):  # what the client prints is not our answer
        failure = _fetch(repo, endpoint=order["endpoint"], cache_dir=order["cache_dir"])
    print(failure)


if __name__ == "__main__":
    _main()
