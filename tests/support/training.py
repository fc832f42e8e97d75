"""One stage's training as the runner would start it, for tests that look inside the loop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from distill_runner.methods.batch import Batch
from distill_runner.models.stored_logits import StoredLogits
from distill_runner.models.teachers import CachedTeachers
from distill_runner.training.stage_job import Job
from support.tiny import Bench


class Killed(Exception):
    pass


class Silent:
    def show(self, step: int, values: object) -> None:
        pass


def job_of(bench: Bench, folder: Path, **changes: Any) -> Job:
    """The deployed stage's job as the runner prepares it, after the stages that it needs.

    Every step is a point of the curves and no time is due for a checkpoint, unless `changes`
    says otherwise. The vocabulary stays cut until the test is over.
    """
    prepared = bench.runner.prepare(bench.plan.stage(bench.plan.deployed), folder=folder)
    job: Job = bench.opened.enter_context(prepared)
    often: dict[str, Any] = {"checkpoint_seconds": 1e9, "log_every": 1}
    return replace(job, **(often | changes))


def under_sure_teachers(batch: Batch) -> Batch:
    """The batch with other logits: those of small teachers are too alike to tell joins apart."""
    source, generator = batch.teachers, np.random.default_rng(1)
    ids = np.sort(np.array([row.encode() for row in batch.ids]))
    logits = [
        StoredLogits(ids, generator.normal(0, 4, (len(ids), 2)).astype(np.float32))
        for _ in source.names
    ]
    device = batch.labels.device
    return replace(batch, teachers=CachedTeachers(source.names, logits, source._ensemble, device))
