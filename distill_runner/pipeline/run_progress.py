"""How far a run is: a bar for the stage in training, and the time that is left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from distill_runner.console.names import stage_name
from distill_runner.console.progress import Bar
from distill_runner.console.screen import Screen
from distill_runner.console.time_left import Left, Remaining


class RunProgress:
    """Shows the bars of a run's stages, and estimates the time from those that it has seen."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._remaining = Remaining({})  # of a stage alone: no other is behind it

    def begin(self, costs: Mapping[str, float], *, at_once: int) -> None:
        """The run begins.

        Args:
            costs: of each stage that will be trained, in a unit that they share.
            at_once: how many stages are trained side by side.
        """
        self._remaining = Remaining(costs, at_once=at_once)

    def end(self, stage: str, *, made: float = 0.0) -> None:
        """The stage is done; a share `made` of its steps was made under its bar."""
        self._remaining.end(stage, made=made)

    @contextmanager
    def bar(self, stage: str, *, total: int, start: int) -> Iterator[Bar]:
        """Shows how far the stage is, and how long it and the run will still take."""
        self._remaining.begin(stage)

        def left(step: int) -> Left | None:
            return self._remaining.left(stage, step=step, start=start, total=total)

        with self._screen.bar(stage_name(stage), total=total, start=start, left=left) as bar:
            yield bar
