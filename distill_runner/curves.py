"""The curves of a stage: averaged between two points, without a device sync at each step."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from distill_runner.errors import DistillError

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

    @property
    def pending(self) -> bool:
        return bool(self._sums)

    def state(self) -> dict[str, Any]:
        """What is on the way to the next point; part of every checkpoint."""
        return {
            "sums": self._sums,
            "weights": self._weights,
            "latest": self._latest,
            "written": self._written,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on towards the next point where `state` was taken."""
        self._sums, self._weights = state["sums"], state["weights"]
        self._latest, self._written = state["latest"], state["written"]

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
        values = self.check(step)
        self._sums.clear()
        self._weights.clear()
        self._written = step
        values |= self._latest
        self.point(step, values)
        return values

    def check(self, step: int) -> dict[str, float]:
        """The means since the last point, with nothing written.

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
        """Write these values as they are."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        self._on_point(step, values)

    def cut(self, step: int) -> None:
        """Forget what was written after `step`, and tell again what was written before.

        The steps after it are made again; whoever listens now was not there for the others.
        """
        kept = []
        for line in self._path.read_text(encoding="utf-8").splitlines(keepends=True):
            # The last line of a killed run may be half written.
            if line.endswith("\n") and json.loads(line)["step"] <= step:
                kept.append(line)
        partial = self._path.with_suffix(".partial")
        partial.write_text("".join(kept), encoding="utf-8")
        os.replace(partial, self._path)
        for at, values in read_points(self._path):
            self._on_point(at, values)


def read_points(path: Path) -> Iterator[tuple[int, dict[str, float]]]:
    """The points of a `metrics.jsonl`: (step, values) each."""
    for line in path.read_text(encoding="utf-8").splitlines():
        values = json.loads(line)
        yield values.pop("step"), values


def as_named(values: Mapping[str, float], names: Mapping[str, str]) -> dict[str, float]:
    """A point with its teachers called otherwise, by the names of their stages.

    A stage may be found in the store that was trained when its teachers lay in other folders.
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
