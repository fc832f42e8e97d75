"""Defines a tracker's interface, and two trackers: a JSON Lines file, and none.

    # conf/tracker/mine.yaml
    defaults: [_base, _self_]
    _target_: my_package.trackers.Mine
    settings: {url: "http://127.0.0.1:5000"}

`tracker._target_` names the class. If it is a dataclass, its fields are its settings.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import ClassVar

from distill_runner.config import schema
from distill_runner.config.construct import construct, load_class
from distill_runner.errors import Refused


@dataclass(frozen=True)
class RunCard:
    """A run's name and configuration; `config` consists of plain nested containers."""

    name: str
    project: str
    group: str | None
    job_type: str
    tags: tuple[str, ...]
    config: Mapping[str, object]
    id: str | None = None


class Tracker(ABC):
    """Receives a run's points, then its summary. An error in it stops the run.

    A run calls `warm_up`, `open`, `log` many times, `finish` and `close`, in this order. A run
    that is refused before its first stage calls only `warm_up` and `close`.
    """

    keeps_curves: ClassVar[bool] = True  # False: the tracker does not read the run's card
    note: str | None = None  # one line for the screen: where the curves are; final after `finish`

    def warm_up(self) -> None:  # noqa: B027
        """Start what takes seconds to start, while the run imports its own libraries."""

    @abstractmethod
    def open(self, folder: Path, card: RunCard) -> None:
        """Begin a run; the tracker's files go under `folder`.

        Raises:
            OSError: one of its files cannot be written.
        """

    @abstractmethod
    def log(self, values: Mapping[str, float], *, step: int) -> None:
        """Add points at `step`, the run's optimiser steps so far; `step` never decreases."""

    @abstractmethod
    def finish(self, summary: Mapping[str, float | str], *, failed: bool = False) -> None:
        """Close the run. A second call does nothing."""

    def close(self) -> None:  # noqa: B027
        """Release what `warm_up` started, if no run was opened."""


def tracker_class(settings: schema.Tracker) -> type[Tracker]:
    """Return the class that the configuration names.

    Raises:
        Refused: there is no such class, or it is not a tracker.
    """
    base: type[Tracker] = Tracker  # type: ignore[type-abstract]
    return load_class(settings._target_, base, key="tracker._target_", kind="a tracker")


def make_tracker(settings: schema.Tracker) -> Tracker:
    """Create the tracker that the configuration describes; it is not open yet.

    Raises:
        Refused: there is no such class, or its settings do not fit it.
    """
    cls = tracker_class(settings)
    if is_dataclass(cls):
        key_of = "tracker.settings.{}".format
        return construct(cls, settings.settings, key_of=key_of, name=cls.__name__)
    if settings.settings:
        raise Refused(
            f"{cls.__name__} has no settings.",
            key="tracker.settings",
            value=settings.settings,
            rule="empty for a class that is not a dataclass",
        )
    return cls()


class NoTracker(Tracker):
    """Discards everything, so that callers need not check whether tracking is on."""

    keeps_curves: ClassVar[bool] = False

    def open(self, folder: Path, card: RunCard) -> None:
        pass

    def log(self, values: Mapping[str, float], *, step: int) -> None:
        pass

    def finish(self, summary: Mapping[str, float | str], *, failed: bool = False) -> None:
        pass


class JsonLinesTracker(Tracker):
    """Writes `tracker.jsonl`: a line for the card, one for each point, one for the summary.

    A run that continues in the same folder appends to the file, again with its card first.
    NaN and Infinity are written as Python's json writes them.
    """

    def open(self, folder: Path, card: RunCard) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "tracker.jsonl"
        self.note = f"curves: {path}"
        # Line by line, so that a killed run leaves its points in the file.
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._write({"card": asdict(card)})

    def log(self, values: Mapping[str, float], *, step: int) -> None:
        self._write({"step": step, "values": as_floats(values)})

    def finish(self, summary: Mapping[str, float | str], *, failed: bool = False) -> None:
        if not self._file.closed:
            self._write({"summary": dict(summary), "failed": failed})
            self._file.close()

    def _write(self, message: Mapping[str, object]) -> None:
        self._file.write(as_line(message))


def as_floats(values: Mapping[str, float]) -> dict[str, float]:
    """Return the values as plain floats."""
    return {name: float(value) for name, value in values.items()}


def as_line(message: Mapping[str, object]) -> str:
    """Return one line of JSON; values of other types are written as text."""
    return json.dumps(message, default=str) + "\n"
