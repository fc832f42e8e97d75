"""Writes a stage's curves: means between two points, without a device sync at each step."""

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
from distill_runner.storage.integrity import Damaged

OnPoint = Callable[[int, Mapping[str, float]], None]


class Curves:
    """Sums losses and other terms on the device, and writes their means at each point.

    Args:
        path: the stage's `metrics.jsonl`, one point per line.
        on_point: called with every point.
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
        """Whether losses have been summed since the last point."""
        return bool(self._sums)

    def state(self) -> dict[str, Any]:
        """Return, for a checkpoint, what has been written and the sums for the next point."""
        return {
            "sums": self._sums,
            "weights": self._weights,
            "latest": self._latest,
            "written": self._written,
            "mark": self._mark(),
        }

    def add(self, role: str, name: str, value: Tensor, weight: float) -> None:
        """Add a term, with a weight, to the mean at the next point."""
        key = f"{role}/{name}"
        value = value.detach() * weight
        self._sums[key] = self._sums[key] + value if key in self._sums else value
        self._weights[key] = self._weights.get(key, 0.0) + weight

    def set(self, role: str, name: str, value: float) -> None:
        """Set a figure; the next points have its latest value."""
        self._latest[f"{role}/{name}"] = value

    def write(self, step: int) -> dict[str, float]:
        """Write and return a point: the means since the last point.

        Raises:
            DistillError: a loss among them is not a number.
        """
        values = self.check(step)
        self._sums.clear()
        self._weights.clear()
        self._written = step
        values |= self._latest
        self.point(step, values)
        return values

    def check(self, step: int) -> dict[str, float]:
        """Return the means since the last point, without writing them.

        Raises:
            DistillError: a loss among them is not a number.
        """
        if not self._sums:
            return {}
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
        return values

    def point(self, step: int, values: Mapping[str, float]) -> None:
        """Write these values as one point, unchanged."""
        line = (json.dumps({"step": step, **values}) + "\n").encode()
        with self._path.open("ab") as file:
            file.write(line)
        self._sha256.update(line)
        self._bytes += len(line)
        self._on_point(step, values)

    def _mark(self) -> dict[str, Any]:
        """Return the size and the hash of what has been written."""
        return {"bytes": self._bytes, "sha256": self._sha256.hexdigest()}

    def resume(self, state: Mapping[str, Any] | None) -> None:
        """Drop the points written after `state` was saved, and replay the earlier ones.

        Training repeats the steps after `state`. The earlier points go to `on_point` again, because
        this process has not seen them.

        Args:
            state: the result of `state()`; None if nothing had been written.

        Raises:
            Damaged: the points written before `state` are missing or different.
        """
        if state:
            self._sums, self._weights = state["sums"], state["weights"]
            self._latest, self._written = state["latest"], state["written"]
        self._bytes = state["mark"]["bytes"] if state else 0
        try:
            self._sha256 = hashlib.sha256(self._path.read_bytes()[: self._bytes])
        except IsADirectoryError as error:
            raise Damaged(self._path, "it is not a file") from error
        if state and self._mark() != state["mark"]:
            raise Damaged(self._path, "the points before the checkpoint have changed")
        os.truncate(self._path, self._bytes)
        for at, values in read_points(self._path):
            self._on_point(at, values)


def latest_loss(path: Path) -> tuple[int, float] | None:
    """Return the step and loss of the last point of a file being written; None if there is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:  # not started, or just finished
        return None
    whole, _, _ = text.rpartition("\n")
    points = map(json.loads, reversed(whole.splitlines()))
    return next(
        (
            (int(point["step"]), point["student/loss"])
            for point in points
            if "student/loss" in point
        ),
        None,
    )


def read_points(path: Path) -> Iterator[tuple[int, dict[str, float]]]:
    """Yield the points of a `metrics.jsonl` as (step, values)."""
    for line in path.read_text(encoding="utf-8").splitlines():
        values = json.loads(line)
        yield values.pop("step"), values


def as_named(values: Mapping[str, float], names: Mapping[str, str]) -> dict[str, float]:
    """Return a point with its teachers renamed to this run's stages.

    When a stored stage was trained, its teachers may have had other names.
    """
    short = {
        old.removeprefix("teacher/"): new.removeprefix("teacher/") for old, new in names.items()
    }
    found = {}
    for key, value in values.items():
        figure, _, name = key.partition("/")
        known = figure.startswith("teacher_") and name in short
        found[f"{figure}/{short[name]}" if known else key] = value
    return found
