"""Artifacts under the hash of everything that decides them.

<store>/artifacts/<key>/             finished: model/, stage.json, metrics.jsonl
<store>/artifacts/<key>.unfinished/  in training: checkpoint.pt, metrics.jsonl
<store>/artifacts/<key>.lock         held by whoever trains it
<store>/signals/<key>-<split>/       the model's logits on a split, by row id
"""

from __future__ import annotations

import enum
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from distill_runner.errors import DistillError


def plain(value: Any) -> Any:
    """Dataclasses, enums, tuples and paths as what JSON knows."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def key_of(value: Any) -> str:
    """The hash of `value`, 16 hex digits."""
    text = json.dumps(plain(value), sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write `value`; the file is the old one or the new one, never half of it."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(plain(value), indent=2) + "\n", encoding="utf-8")
    os.replace(partial, path)


@dataclass(frozen=True)
class Artifact:
    """A finished stage: a model folder and what is known of it."""

    key: str
    folder: Path

    @property
    def model(self) -> Path:
        return self.folder / "model"

    @property
    def curves(self) -> Path:
        return self.folder / "metrics.jsonl"

    def facts(self) -> dict[str, Any]:
        """What `stage.json` says.

        Raises:
            DistillError: it is damaged.
        """
        path = self.folder / "stage.json"
        try:
            facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DistillError(
                f"The stored stage {self.folder} is damaged ({error}).\n"
                "  try:  delete that folder; the stage is then trained again"
            ) from error
        return facts


class Store:
    """The folder of all artifacts; several processes may share it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._artifacts = folder / "artifacts"

    def artifact(self, key: str) -> Artifact:
        return Artifact(key, self._artifacts / key)

    def has(self, key: str) -> bool:
        return (self._artifacts / key / "stage.json").is_file()

    def signals(self, key: str, split: str) -> Path:
        """Where the logits of artifact `key` on the split of that fingerprint are kept."""
        return self.folder / "signals" / f"{key}-{split[:16]}"

    def is_free(self, key: str) -> bool:
        """Whether nobody trains `key` at this moment."""
        self._artifacts.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self._artifacts / f"{key}.lock", timeout=0):
                return True
        except Timeout:
            return False

    @contextmanager
    def claim(self, key: str, *, waiting: Callable[[], None]) -> Iterator[Path]:
        """Hold the right to train `key`; the folder given is the unfinished stage's.

        Two processes that need the same stage do not train it side by side: the second
        waits (`waiting` is called once) and then finds it done. A killed holder lets go.
        """
        self._artifacts.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._artifacts / f"{key}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            waiting()
            lock.acquire()
        try:
            yield self._artifacts / f"{key}.unfinished"
        finally:
            lock.release()

    def finish(self, key: str, unfinished: Path, facts: Mapping[str, Any]) -> Artifact:
        """Turn the unfinished stage into the artifact, whole or not at all."""
        text = json.dumps(plain(facts), indent=2, sort_keys=True)
        (unfinished / "stage.json").write_text(text + "\n", encoding="utf-8")
        artifact = self.artifact(key)
        shutil.rmtree(artifact.folder, ignore_errors=True)
        for stale in (self.folder / "signals").glob(f"{key}-*"):
            shutil.rmtree(stale)
        os.replace(unfinished, artifact.folder)
        for name in ("checkpoint.pt", "best.pt"):
            (artifact.folder / name).unlink(missing_ok=True)
        return artifact
