"""Stores artifacts under the hash of everything that determines them.

<store>/stages/<key>/             finished: model/, stage.json, metrics.jsonl, sealed
<store>/stages/<key>.unfinished/  in training: checkpoint.pt, metrics.jsonl
<store>/stages/<key>.lock         held during training
<store>/logits/<key>-<split>/     the model's logits on a split, by row id, sealed
<store>/damaged/                  damaged folders that were moved away
"""

from __future__ import annotations

import enum
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from distill_runner.config.schema.rules import is_left_out
from distill_runner.storage import integrity
from distill_runner.storage.locks import hold_lock, is_free


def plain(value: Any, *, for_key: bool = False) -> Any:
    """Convert dataclasses, enums, tuples and paths to JSON types.

    Args:
        value: what to convert.
        for_key: leave out the fields that keys leave out while they have their defaults.
    """
    if is_dataclass(value) and not isinstance(value, type):
        named = {field: getattr(value, field.name) for field in fields(value)}
        return {
            field.name: plain(item, for_key=for_key)
            for field, item in named.items()
            if not (for_key and is_left_out(field.metadata) and item == field.default)
        }
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): plain(item, for_key=for_key) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, for_key=for_key) for item in value]
    return str(value) if isinstance(value, Path) else value


def key_of(value: Any) -> str:
    """Return the hash of `value`, 16 hex digits."""
    text = json.dumps(plain(value, for_key=True), sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write `value` atomically: the file is the old one or the new one, never partial."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(plain(value), indent=2) + "\n", encoding="utf-8")
    os.replace(partial, path)


@dataclass(frozen=True)
class Artifact:
    """A finished stage: its model folder and the facts recorded about it."""

    key: str
    folder: Path

    @property
    def model(self) -> Path:
        """The model folder in Hugging Face format."""
        return self.folder / "model"

    @property
    def curves(self) -> Path:
        """The file with the points of the training curves."""
        return self.folder / "metrics.jsonl"

    def facts(self) -> dict[str, Any]:
        """Return the contents of `stage.json`.

        Raises:
            Damaged: the artifact differs from what was written.
        """
        integrity.check(self.folder, hashed=False)
        text = (self.folder / "stage.json").read_text(encoding="utf-8")
        facts: dict[str, Any] = json.loads(text)
        return facts


class Store:
    """The folder of all artifacts; several processes may share it.

    Args:
        folder: the store's folder; need not exist yet.
        say: receives messages about damage.
    """

    def __init__(self, folder: Path, *, say: integrity.Say = print) -> None:
        self.folder = folder
        self._artifacts = folder / "stages"
        self._say = say

    def artifact(self, key: str) -> Artifact:
        """Return the artifact of `key`, whether or not it exists."""
        return Artifact(key, self._artifacts / key)

    def has(self, key: str, *, hashed: bool = False) -> bool:
        """Return whether the artifact is finished and undamaged.

        Args:
            key: the artifact's key.
            hashed: hash every file, as required before the model is loaded.
        """
        return integrity.fault(self._artifacts / key, hashed=hashed) is None

    def unfinished(self, key: str) -> Path:
        """Return the folder of `key` during training."""
        return self._artifacts / f"{key}{integrity.UNFINISHED}"

    def logits(self, key: str, split: str) -> Path:
        """Return the folder of artifact `key`'s logits on the split with this fingerprint."""
        return self.folder / "logits" / f"{key}-{split[:16]}"

    def is_free(self, key: str) -> bool:
        """Return whether no process is training `key` at the moment."""
        self._artifacts.mkdir(parents=True, exist_ok=True)
        with is_free(self._artifacts / f"{key}.lock") as free:
            return free

    @contextmanager
    def claim(self, key: str, *, waiting: Callable[[], None]) -> Iterator[Path]:
        """Hold the lock of `key`, and yield the folder of its unfinished stage.

        Two processes that need the same stage never train it at the same time: the second
        waits (`waiting` is called once) and then finds it finished.
        """
        self._artifacts.mkdir(parents=True, exist_ok=True)
        with hold_lock(self._artifacts / f"{key}.lock", waiting=waiting, patience=0):
            unfinished = self.unfinished(key)
            for scratch in unfinished.glob("*.partial"):
                scratch.unlink()
            yield unfinished

    def set_damage_aside(self, key: str) -> None:
        """Move the artifact away if it is damaged; the caller must have claimed it."""
        integrity.is_intact(self._artifacts / key, say=self._say)

    def begin_again(self, unfinished: Path, why: str) -> None:
        """Move a damaged unfinished stage away, and create an empty folder in its place."""
        integrity.set_aside(unfinished, why, say=self._say)
        unfinished.mkdir()

    def finish(self, key: str, unfinished: Path, facts: Mapping[str, Any]) -> Artifact:
        """Turn the unfinished stage into a sealed artifact, atomically."""
        text = json.dumps(plain(facts), indent=2, sort_keys=True)
        (unfinished / "stage.json").write_text(text + "\n", encoding="utf-8")
        integrity.seal(unfinished, name=key)
        artifact = self.artifact(key)
        for stale in (self.folder / "logits").glob(f"{key}-*"):
            if stale.suffix != ".lock":
                integrity.discard(stale)
        integrity.discard(artifact.folder)
        os.replace(unfinished, artifact.folder)
        for name in integrity.CHECKPOINTS:
            (artifact.folder / name).unlink(missing_ok=True)
        return artifact
