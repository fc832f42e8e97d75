"""The curves of a stage: averaged between two points, without a device sync at each step."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from distill_runner.errors import DistillError
from distill_runner.integrity import Damaged

OnPoint = Callable[[int, Mapping[str, float]], None]


class Curves:
    """Collects terms on the device and writes their means every so many steps.

    Args:
        path: `metrics.jsonl` of the stage, one point a line.
        on_point: told of every point too.
    """

    def __init__(self, path: Path, on_point: OnPoint) -> None:
        path.touch()
        self._path = path
        self._on_point = on_point
        self._sums: dict[str, Tensor] = {}
        self._weights: dict[str, float] = {}
        self._latest: dict[str, float] = {}
        self._written = 0
        self._sha256 = hashlib.sha256()
        self._bytes = 0

    @property
    def pending(self) -> bool:
        return bool(self._sums)

    def add(self, role: str, name: str, value: Tensor, weight: float) -> None:
        """Add a term to the mean up to the next point."""
        key = f"{role}/{name}"
        value = value.detach() * weight
        self._sums[key] = self._sums[key] + value if key in self._sums else value
        self._weights[key] = self._weights.get(key, 0.0) + weight

    def set(self, role: str, name: str, value: float) -> None:
        """A figure of which the latest counts."""
        self._latest[f"{role}/{name}"] = value

    def write(self, step: int) -> dict[str, float]:
        """Write a point: the means since the last one.

        Raises:
            DistillError: a loss among them is not a number.
        """
        names = list(self._sums)
        sums = torch.stack([self._sums[name].float() for name in names]).tolist()
        values = {
            name: total / self._weights[name] for name, total in zip(names, sums, strict=True)
        }
        broken = [name for name, value in values.items() if not math.isfinite(value)]
        if broken:
            raise DistillError(
                f"{broken[0]} is {values[broken[0]]} in steps {self._written + 1}..{step}.\n"
                "  rule: a loss and a gradient are finite numbers\n"
                "  try:  a smaller training.learning_rate, or runtime.precision=float32"
            )
        self._sums.clear()
        self._weights.clear()
        self._written = step
        values |= self._latest
        self.point(step, values)
        return values

    def point(self, step: int, values: Mapping[str, float]) -> None:
        """Write these values as they are."""
        line = (json.dumps({"step": step, **values}) + "\n").encode()
        with self._path.open("ab") as file:
            file.write(line)
        self._sha256.update(line)
        self._bytes += len(line)
        self._on_point(step, values)

    def mark(self) -> dict[str, Any]:
        """What is written so far, for a checkpoint."""
        return {"bytes": self._bytes, "sha256": self._sha256.hexdigest()}

    def cut(self, step: int, mark: Mapping[str, Any] | None) -> None:
        """Forget what was written after `mark`, and tell again what was written before.

        The steps after it are made again; whoever listens now was not there for the others.

        Args:
            step: at which the mark was taken.
            mark: None: nothing was written.

        Raises:
            Damaged: what was written before is not there any more.
        """
        self._written = step
        self._bytes = mark["bytes"] if mark else 0
        try:
            self._sha256 = hashlib.sha256(self._path.read_bytes()[: self._bytes])
        except IsADirectoryError as error:
            raise Damaged(self._path, "it is no file") from error
        if mark and self.mark() != mark:
            raise Damaged(self._path, "the points before the checkpoint are others")
        os.truncate(self._path, self._bytes)
        for at, values in read_points(self._path):
            self._on_point(at, values)


def read_points(path: Path) -> Iterator[tuple[int, dict[str, float]]]:
    """The points of a `metrics.jsonl`: (step, values) each."""
    for line in path.read_text(encoding="utf-8").splitlines():
        values = json.loads(line)
        yield values.pop("step"), values
