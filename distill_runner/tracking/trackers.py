"""What a tracker is, and two of them: a file of JSON lines, and none.

    # conf/tracker/mine.yaml
    defaults: [_base, _self_]
    _target_: my_package.trackers.Mine
    settings: {url: "http://127.0.0.1:5000"}

`tracker._target_` names the class. A class that is a dataclass has settings, its fields.
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
    """What a run is called and how it is configured; `config` is nested plain containers."""

    name: str
    project: str
    group: str | None
    job_type: str
    tags: tuple[str, ...]
    config: Mapping[str, object]
    id: str | None = None


class Tracker(ABC):
    """Takes a run's points, then its summary; never stops the run it watches.

    A run calls `warm_up`, `open`, `log` many times, `finish` and `close`, in this order. A run
    that is refused before its first stage calls `warm_up` and `close` alone.
    """

    keeps_curves: ClassVar[bool] = True  # False: nothing reads the run's card
    note: str | None = None  # one line for the screen: where the curves are; final after `finish`

    def warm_up(self) -> None:  # noqa: B027
        """Start what takes seconds to start, while the run imports what it needs itself."""

    @abstractmethod
    def open(self, folder: Path, card: RunCard) -> None:
        """Begin a run, whose files go under `folder`.

        Raises:
            OSError: a file of the tracker's cannot be written.
        """

    @abstractmethod
    def log(self, values: Mapping[str, float], *, step: int) -> None:
        """Add points at `step`, the run's optimiser step so far, which never falls."""

    @abstractmethod
    def finish(self, summary: Mapping[str, float | str], *, failed: bool = False) -> None:
        """Close the run. A second call does nothing."""

    def close(self) -> None:  # noqa: B027
        """Release what `warm_up` started, if no run took it over."""


def tracker_class(settings: schema.Tracker) -> type[Tracker]:
    """The class that the configuration names.

    Raises:
        Refused: there is no such class, or it is no tracker.
    """
    base: type[Tracker] = Tracker  # type: ignore[type-abstract]
    return load_class(settings._target_, base, key="tracker._target_", kind="tracker")


def make_tracker(settings: schema.Tracker) -> Tracker:
    """The tracker that the configuration describes; it is not open yet.

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
            rule="empty for a class that is no dataclass",
        )
    return cls()


class NoTracker(Tracker):
    """Keeps nothing, so that no caller has to ask whether tracking is on."""

    keeps_curves: ClassVar[bool] = False

    def open(self, folder: Path, card: RunCard) -> None:
        pass

    def log(self, values: Mapping[str, float], *, step: int) -> None:
        pass

    def finish(self, summary: Mapping[str, float | str], *, failed: bool = False) -> None:
        pass


class JsonLinesTracker(Tracker):
    """`tracker.jsonl`: a line for the card, one for each point, and one for the summary.

    A run that continues in the same folder appends to the file, again with its card first.
    NaN and Infinity are spelled as Python's json spells them.
    """

    def open(self, folder: Path, card: RunCard) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "tracker.jsonl"
        self.note = f"curves: {path}"
        # Line by line, so that a run that is killed leaves its points behind.
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
    """The values as plain floats, whatever numbers they were."""
    return {name: float(value) for name, value in values.items()}


def as_line(message: Mapping[str, object]) -> str:
    """One line of JSON; what JSON does not know becomes its text."""
    return json.dumps(message, default=str) + "\n"
