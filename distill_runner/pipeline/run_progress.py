"""Shows the progress of a run: a bar for the stage in training, and the time left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from distill_runner.console.names import stage_name
from distill_runner.console.progress import Bar
from distill_runner.console.screen import Screen
from distill_runner.console.time_left import TimeEstimator, TimeLeft


class RunProgress:
    """Shows the bars of a run's stages, and estimates the time left from those seen so far."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._remaining = TimeEstimator({})  # until `begin`: estimates a single stage

    def begin(self, costs: Mapping[str, float], *, at_once: int) -> None:
        """Begin the estimate of a whole run.

        Args:
            costs: the cost of each stage that will be trained, in any common unit.
            at_once: number of stages that are trained in parallel.
        """
        self._remaining = TimeEstimator(costs, at_once=at_once)

    def end(self, stage: str, *, made: float = 0.0) -> None:
        """End a stage; a share `made`, 0..1, of its steps was made under its bar."""
        self._remaining.end(stage, made=made)

    @contextmanager
    def bar(self, stage: str, *, total: int, start: int) -> Iterator[Bar]:
        """Show the progress of the stage, and the time left for it and for the run."""
        self._remaining.begin(stage)

        def left(step: int) -> TimeLeft | None:
            return self._remaining.left(stage, step=step, start=start, total=total)

        with self._screen.bar(stage_name(stage), total=total, start=start, left=left) as bar:
            yield bar
