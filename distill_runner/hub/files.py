"""Lists, checks and hashes the files of a model folder."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from distill_runner.errors import Refused
from distill_runner.results.origins import HubRevision

# One of these must exist; the tokenizer's settings may be missing.
VOCABULARIES = {
    "tokenizer.json",
    "tokenizer.model",
    "sentencepiece.bpe.model",
    "spiece.model",
    "spm.model",
    "vocab.json",
    "vocab.txt",
}
TOKENIZER_SETTINGS = {
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
    "bpe.codes",
}
SAFETENSORS = re.compile(r"model(-\d+-of-\d+)?\.safetensors(\.index\.json)?")
PYTORCH = re.compile(r"pytorch_model(-\d+-of-\d+)?\.bin(\.index\.json)?")
# In the order in which transformers looks for them.
USUAL_WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
_OF_BYTES = {"ByT5Tokenizer", "CanineTokenizer", "PerceiverTokenizer"}
WEIGHTS = "config.json and whole weights in safetensors"


@dataclass(frozen=True)
class _Stamp:
    path: str
    size: int
    mtime_ns: int


def read_config(folder: Path) -> dict[str, object]:
    """Read a model folder's config.json.

    Raises:
        Refused: it is missing, is not a JSON object, or its architectures are not names.
    """
    file = folder / "config.json"
    if not file.is_file():
        raise Refused(f"{folder} is not a model folder: it has no config.json.")
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise Refused(f"{file} is not JSON: {error}.") from error
    except OSError as error:
        raise Refused(f"{file} cannot be read: {error.strerror}.") from error
    if not isinstance(config, dict):
        raise Refused(f"{file} does not hold a JSON object.")
    named = config.get("architectures") or []
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise Refused(f"{file} does not name its architectures: {str(named)[:60]}.")
    return config


def is_classifier(folder: Path) -> bool:
    """Return whether a model folder's config says that it is a trained text classifier.

    Raises:
        Refused: the config cannot be read.
    """
    named = read_config(folder).get("architectures") or []
    assert isinstance(named, list)
    return any(str(name).endswith("ForSequenceClassification") for name in named)


def model_fingerprint(folder: Path) -> str:
    """Return a digest of all that determines a loaded model: config, weights, tokenizer files.

    Returns:
        SHA-256 in hex; it does not depend on the folder's location.

    Raises:
        Refused: weights lie outside the folder.
    """
    others = {"config.json"} | VOCABULARIES | TOKENIZER_SETTINGS
    names = {*weight_files(folder), *(name for name in names_under(folder) if name in others)}
    digests = [(name, file_digest(folder / name)) for name in sorted(names)]
    return hashlib.sha256(json.dumps(digests).encode()).hexdigest()


def weight_files(folder: Path) -> list[str]:
    """Return the existing files that transformers reads the weights from.

    The config may name a file; otherwise it is the first of `USUAL_WEIGHTS` that exists. An index
    names its shards.

    Raises:
        Refused: the config or an index names a file outside the folder.
    """
    named = read_config(folder).get("transformers_weights")
    usual = [name for name in USUAL_WEIGHTS if (folder / name).is_file()][:1]
    found = usual if named is None else [_inside(folder, named, "config.json")]
    for index in [name for name in found if name.endswith(".index.json")]:
        if (folder / index).is_file():
            found += [_inside(folder, name, index) for name in _shards_of(folder / index)]
    return [name for name in found if (folder / name).is_file()]


def _shards_of(index: Path) -> list[object]:
    try:
        shards = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        return sorted(set(shards.values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refused(
            f"{index} is not an index of weights ({type(error).__name__}: {error}).",
            rule='JSON with a "weight_map" from each weight to its file',
        ) from error


def _inside(folder: Path, name: object, where: str) -> str:
    """Return `name`, which the file `where` gives, if it is a path inside the folder.

    Raises:
        Refused: it leads outside the folder.
    """
    root = os.path.abspath(folder)
    if not isinstance(name, str) or not os.path.abspath(os.path.join(root, name)).startswith(
        root + os.sep
    ):
        raise Refused(
            f"{folder / where} names weights outside its folder.",
            key=where,
            value=name,
            rule="the name of a file in the model's folder",
        )
    return name


def hub_revision(folder: Path) -> HubRevision | None:
    """Return the repository and commit of a folder in the hub's cache; None for other folders."""
    for at in (folder, *folder.parents):
        repo = at.parent.parent.name
        if at.parent.name == "snapshots" and repo.startswith(("models--", "datasets--")):
            return HubRevision(repo=repo.partition("--")[2].replace("--", "/"), revision=at.name)
    return None


def file_digest(file: Path) -> str:
    """Return a file's SHA-256 in hex; reads it again only if its size or time has changed."""
    stat = file.stat()
    return _digest(_Stamp(str(file.resolve()), stat.st_size, stat.st_mtime_ns))


@lru_cache(maxsize=4096)
def _digest(stamp: _Stamp) -> str:
    with open(stamp.path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def names_under(folder: Path) -> list[str]:
    """Return the files of a folder and its subfolders, as relative paths with slashes."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return [path.relative_to(folder).as_posix() for path in files]


def check_vocabulary(folder: Path, *, key: str) -> None:
    """Refuse a model folder without a vocabulary.

    Raises:
        Refused: the folder has none of `VOCABULARIES`.
    """
    if VOCABULARIES.isdisjoint(names_under(folder)) and not _reads_bytes(folder):
        raise Refused(
            f"{folder} has no vocabulary: every word would be unknown.",
            key=key,
            value=str(folder),
            rule="one of " + ", ".join(sorted(VOCABULARIES)),
            way_out="the tokenizer files that were published with the model",
        )


def _reads_bytes(folder: Path) -> bool:
    """Return whether the tokenizer reads bytes or characters and needs no vocabulary."""
    try:
        settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        return str(settings["tokenizer_class"]).removesuffix("Fast") in _OF_BYTES
    except (OSError, ValueError, KeyError, TypeError):
        return False


def weights_of(folder: Path, *, key: str) -> list[str]:
    """Return the weight files of a model folder: safetensors if there are any, else pickles.

    Raises:
        Refused: there are none.
    """
    names = names_under(folder)
    safe = [name for name in names if SAFETENSORS.fullmatch(name) and name.endswith("tensors")]
    pickled = [name for name in names if PYTORCH.fullmatch(name) and name.endswith(".bin")]
    if not safe and not pickled:
        raise Refused(f"{folder} has no weights.", key=key, value=str(folder), rule=WEIGHTS)
    return safe or pickled
