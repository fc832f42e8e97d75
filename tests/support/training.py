"""One stage's training as the runner would start it, for tests that look inside the loop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from distill_runner.methods.batch import Scene
from distill_runner.models.stored_logits import Signals
from distill_runner.models.teachers import CachedTeachers
from distill_runner.training import loop
from support.tiny import Bench


class Killed(Exception):
    pass


class Silent:
    def show(self, step: int, values: object) -> None:
        pass


def job_of(bench: Bench, folder: Path, **changes: Any) -> loop.Job:
    """The deployed stage's job, its upstream stages done."""
    prepared = bench.runner.prepare(bench.plan.stage(bench.plan.deployed), folder=folder)
    # As prepared until the test is over: the vocabulary stays cut.
    job: loop.Job = bench.opened.enter_context(prepared)
    simple: dict[str, Any] = {
        "checkpoint_seconds": 1e9,
        "log_every": 1,
        "validate": lambda _: {"accuracy": 0.5},
        "on_point": lambda *_: None,
        "selected_by": "accuracy",
    }
    return replace(job, **(simple | changes))


def under_sure_teachers(scene: Scene) -> Scene:
    """The scene with other signals: those of small teachers are too alike to tell joins apart."""
    source, generator = scene.teachers, np.random.default_rng(1)
    ids = np.sort(np.array([row.encode() for row in scene.ids]))
    signals = [
        Signals(ids, generator.normal(0, 4, (len(ids), 2)).astype(np.float32)) for _ in source.names
    ]
    device = scene.labels.device
    return replace(scene, teachers=CachedTeachers(source.names, signals, source._ensemble, device))
