"""One stage's training as the runner would start it, for tests that look inside the loop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from distill_runner.methods.batch import Scene
from distill_runner.models.stored_logits import Signals
from distill_runner.models.teachers import CachedTeachers, LiveTeachers
from distill_runner.training import loop
from support.tiny import Bench


class Killed(Exception):
    pass


class Silent:
    def show(self, step: int, values: object) -> None:
        pass


def job_of(bench: Bench, folder: Path, **changes: object) -> loop.Job:
    """The deployed stage's job, its upstream stages done."""
    runner, stage = bench.runner, bench.plan.stage(bench.plan.deployed)
    for name in bench.plan.stages:
        if name.name == stage.name:
            break
        key = runner.key_of(name)
        store = runner._store
        runner._artifacts[name.name] = (
            store.artifact(key) if store.has(key) else runner._train(name, key)
        )
    learner = runner._casting.learner(stage)
    teachers = runner._casting.teachers(stage)
    folder.mkdir(parents=True, exist_ok=True)
    trained = (
        [teachers.learners[at] for at in stage.algorithm.trained_teachers(len(teachers.learners))]
        if isinstance(teachers, LiveTeachers)
        else []
    )
    job = loop.Job(
        algorithm=stage.algorithm,
        task=runner._readings["task"].task,
        student=learner,
        teachers=teachers,
        roles={"student": [learner], **({"teacher": trained} if trained else {})},
        rows=runner._readings["task"].training_rows(stage, learner, teachers),
        training=stage.training,
        seed=stage.seed,
        first_epoch=0,
        device=torch.device("cpu"),
        bf16=False,
        folder=folder,
        checkpoint_seconds=1e9,
        log_every=1,
        validate=lambda _: {"accuracy": 0.5},
        on_point=lambda *_: None,
    )
    return replace(job, **changes)  # type: ignore[arg-type]


def under_sure_teachers(scene: Scene) -> Scene:
    """The scene with other signals: those of small teachers are too alike to tell joins apart."""
    source, generator = scene.teachers, np.random.default_rng(1)
    ids = np.sort(np.array([row.encode() for row in scene.ids]))
    signals = [
        Signals(ids, generator.normal(0, 4, (len(ids), 2)).astype(np.float32)) for _ in source.names
    ]
    device = scene.labels.device
    return replace(scene, teachers=CachedTeachers(source.names, signals, source._ensemble, device))
