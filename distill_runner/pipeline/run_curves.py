"""The curves of a run: those of its stages, one after another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from distill_runner.pipeline.stage_records import read_record
from distill_runner.planning.stages import Stage
from distill_runner.storage.store import Artifact
from distill_runner.tracking.curves import OnPoint, as_named, read_points
from distill_runner.tracking.trackers import Tracker


class RunCurves:
    """Sends each stage's points to the tracker, numbered after the steps of earlier stages."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._steps_before = 0

    def track(self, tracker: Tracker) -> None:
        """Send the points to this tracker from here on."""
        self._tracker = tracker

    def on_point(self, stage: Stage) -> OnPoint:
        """Return a function that sends the stage's points."""
        offset = self._steps_before

        def send(step: int, values: Mapping[str, float]) -> None:
            named = {f"{stage.name}/{name}": value for name, value in values.items()}
            self._tracker.log(named, step=offset + step)

        return send

    def replay(self, artifact: Artifact, stage: Stage) -> None:
        """Send the points of a stage that was trained before this run."""
        send = self.on_point(stage)
        for step, values in points_of(artifact, stage):
            send(step, values)

    def end(self, steps: int) -> None:
        """End a stage of so many steps; the next stage's points follow them."""
        self._steps_before += steps


def points_of(artifact: Artifact, stage: Stage) -> Iterator[tuple[int, dict[str, float]]]:
    """Yield the points of a finished stage's curves, with its teachers named as in the plan."""
    names = dict(zip(read_record(artifact).teachers, stage.teachers, strict=True))
    for step, values in read_points(artifact.curves):
        yield step, as_named(values, names)
