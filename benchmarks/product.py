"""Runs distill-run's training loop step by step, as a contender."""

from __future__ import annotations

import atexit
import dataclasses
import tempfile
import time
from collections.abc import Hashable
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from benchmarks.contender import Contender
from benchmarks.sampling import Batch
from benchmarks.setting import Setting
from distill_runner.config.schema import Batching
from distill_runner.console.screen import Screen
from distill_runner.data.encoding import encode
from distill_runner.pipeline.runner import Runner
from distill_runner.pipeline.task_data import TaskData
from distill_runner.planning.stages import TASK
from distill_runner.tracking.trackers import NoTracker
from distill_runner.training.loop import Loop


class Product(Contender):
    """The training of a plan's deployed stage, from its first step.

    Args:
        setting: the race's setting.
        folder: an empty folder for the stage's curves.
    """

    def __init__(self, setting: Setting, folder: Path) -> None:
        self._setting = setting
        self._reading = TaskData(
            setting.data, setting.config.dataset, Path(setting.config.store.dir)
        )
        self._runner = self._runner_of_stages_before()
        self._before = self._runner.run()
        self._teacher_seconds = self._pass_of_teachers()
        within = ExitStack()
        job = within.enter_context(self._runner.prepare(setting.stage, folder=folder))
        atexit.register(within.close)  # the contexts stay open until the process ends
        self.student, self.teachers = job.student, job.teachers
        self.loop = Loop(job)
        self.lengths = self.loop.order.lengths
        by_length = setting.config.training.batching is Batching.by_length
        self.packed = self.student.leaves_padding_out and not by_length

    def epoch(self, epoch: int) -> list[np.ndarray]:
        return self.loop.order.epoch(self.loop.job.first_epoch + epoch)

    def shape(self, batch: Batch) -> Hashable:
        # Quiz batches and unpadded rows differ in shape from step to step.
        own = self.loop.job.algorithm.needs.quiz or self.packed
        return (batch.epoch, batch.at) if own else batch.padded

    def step(self, batches: list[Batch]) -> None:
        loop = self.loop
        for batch in batches:
            loop.step(batch.epoch, batch.at, batch.rows)
            if loop.progress.step % loop.job.log_every == 0:
                loop.curves.write(loop.progress.step)
        if loop.curves.pending:
            loop.curves.write(loop.progress.step)

    def once(self) -> tuple[float, float]:
        with tempfile.TemporaryDirectory() as empty:
            began = time.perf_counter()
            for split in self._setting.stage.rows:
                encode(
                    self._setting.data.splits[split],
                    self.student.encoder,
                    fingerprint=split,
                    store=Path(empty),
                )
            return time.perf_counter() - began, self._teacher_seconds

    def _runner_of_stages_before(self) -> Runner:
        """Return a runner of all stages before the raced one; teachers are not trained."""
        setting = self._setting
        return Runner(
            setting.config,
            dataclasses.replace(setting.plan, stages=setting.plan.stages[:-1]),
            {TASK: setting.data},
            machine=setting.machine,
            screen=Screen(),
            tracker=NoTracker(),
        )

    def _pass_of_teachers(self) -> float:
        """Run each frozen teacher on the rows, and keep its logits; return the seconds."""
        stage, parts = self._setting.stage, self._runner.parts
        if stage.algorithm.needs.teachers != "frozen":
            return 0.0
        seconds = 0.0
        for name in stage.teachers:
            teacher, own = parts.factory.load_finished(name), self._setting.plan.stage(name)
            for split in stage.rows:
                self._reading.split(split, teacher)  # tokenised before the clock starts
                began = time.perf_counter()
                logits = parts.logits.predict(teacher, own, split)
                seconds += time.perf_counter() - began
                parts.logits.keep(self._before.artifacts[name], own, split, logits)
        return seconds
