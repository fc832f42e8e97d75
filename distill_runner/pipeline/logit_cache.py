"""The logits of finished stages on whole splits: read from the store, or computed and stored."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from distill_runner.config.schema import Noise
from distill_runner.console.names import stage_name
from distill_runner.data.encoding import View
from distill_runner.evaluation.predict import predict
from distill_runner.models import stored_logits
from distill_runner.models.learner import Learner
from distill_runner.models.stored_logits import StoredLogits
from distill_runner.pipeline.learner_factory import LearnerFactory
from distill_runner.pipeline.task_data import TaskData
from distill_runner.planning.stages import UNLABELLED, Plan, Stage
from distill_runner.runtime.machine import Machine
from distill_runner.storage.integrity import Say
from distill_runner.storage.store import Artifact, Store, key_of, plain

_LINE_SECONDS = 15.0  # between two lines about a long pass


class LogitCache:
    """Computes each model's logits on a split once; afterwards they come from the store.

    Args:
        data: the plan's data sets, by name.
        finished: the artifacts of the stages done so far, by name.
        factory: loads a finished stage's learner if its logits are not in the store.
        say: reports damage in the store.
    """

    def __init__(
        self,
        plan: Plan,
        data: Mapping[str, TaskData],
        *,
        store: Store,
        finished: Mapping[str, Artifact],
        factory: LearnerFactory,
        machine: Machine,
        say: Say,
    ) -> None:
        self._plan = plan
        self._data = data
        self._store = store
        self._finished = finished
        self._factory = factory
        self._machine = machine
        self._say = say

    def logits(self, name: str, split: str) -> StoredLogits:
        """Return the finished stage's logits on a split of its data."""
        stage = self._plan.stage(name)
        if stage.answers is not None:
            return self._of_file(name, stage, split)
        if split == UNLABELLED:
            return self._without_labels(name, stage)
        found = stored_logits.load(self._folder(name, stage, split))
        if found is None:
            logits = self.predict(self._factory.load_finished(name), stage, split)
            found = self.keep(self._finished[name], stage, split, logits)
        return found

    def has(self, name: str, split: str) -> bool:
        """Return whether the finished stage has logits on all rows of a split; models always do."""
        stage = self._plan.stage(name)
        if stage.answers is None:
            return True
        ids = self._data[stage.data].ids(split)
        return bool(self.logits(name, split).has(ids).all())

    def _of_file(self, name: str, stage: Stage, split: str) -> StoredLogits:
        """Return the answers of a file on those rows of a split that it answers."""
        folder = self._folder(name, stage, split)
        found = stored_logits.load(folder)
        if found is None:
            data = self._data[stage.data]
            answers, ids = data.answers(stage), data.ids(split)
            positions = answers.positions(data.data.splits[split])
            answered = np.flatnonzero(positions >= 0)
            logits = answers.logits[positions[answered]]
            found = stored_logits.save(folder, [ids[at] for at in answered], logits, say=self._say)
        return found

    def _without_labels(self, name: str, stage: Stage) -> StoredLogits:
        """Return the logits on the rows without labels, of which there may be a million.

        They are stored by ranges of rows, so that an interrupted run loses little, and a larger
        pool that begins with the same rows reads theirs from the store.
        """
        data, key = self._data[stage.data], self._finished[name].key
        ranges = data.ranges(UNLABELLED)
        folders = [self._store.logits(key, mark) for _, mark in ranges]
        found = [stored_logits.load(folder) for folder in folders]
        missing = [at for at, part in enumerate(found) if part is None]
        if missing:
            learner = self._factory.load_finished(name)
            view, ids = data.split(UNLABELLED, learner), data.ids(UNLABELLED)
            report = _Report(f"  {stage_name(name)}", sum(len(ranges[at][0]) for at in missing))
        for at in missing:
            rows = ranges[at][0]
            logits = self._predict(learner, view, rows=np.asarray(rows))
            names = ids[rows.start : rows.stop]
            found[at] = stored_logits.save(folders[at], names, logits, say=self._say)
            report.add(len(rows), self._say)
        return stored_logits.merge([part for part in found if part is not None])

    def validation_score(self, name: str) -> float:
        """Return the finished stage's score on validation, by the metric that selects."""
        data = self._data[self._plan.stage(name).data]
        logits = self.logits(name, "validation").of(data.ids("validation"))
        return data.score(logits, "validation")[data.task.selection_metric.value]

    def keep(
        self, artifact: Artifact, stage: Stage, split: str, logits: np.ndarray
    ) -> StoredLogits:
        """Store a finished stage's logits, [rows, classes], on a split of the stage's data."""
        data = self._data[stage.data]
        folder = self._store.logits(artifact.key, data.data.fingerprints[split])
        return stored_logits.save(folder, data.ids(split), logits, say=self._say)

    def without_soft_heads(self, name: str, split: str) -> StoredLogits:
        """Return the logits of the finished stage's classifier without its soft heads."""
        stage = self._plan.stage(name)
        data = self._data[stage.data]
        decided = key_of([data.data.fingerprints[split], "golden"])
        folder = self._store.logits(self._finished[name].key, decided)
        found = stored_logits.load(folder)
        if found is None:
            logits = self.predict(self._factory.load_finished(name, soft_heads=False), stage, split)
            found = stored_logits.save(folder, data.ids(split), logits, say=self._say)
        return found

    def under_noise(
        self, name: str, split: str, noises: Sequence[Noise], *, computing: Callable[[], None]
    ) -> list[StoredLogits]:
        """Return the finished stage's logits on a split under each noise.

        The noise is drawn with the seed that cut the rows, so every learner reads the same.

        Args:
            computing: called once if some logits are not in the store.
        """
        data, learner = self._data[self._plan.stage(name).data], None
        every = []
        for noise in noises:
            decided = [data.data.fingerprints[split], plain(noise), data.noise_seed]
            folder = self._store.logits(self._finished[name].key, key_of(decided))
            found = stored_logits.load(folder)
            if found is None:
                if learner is None:
                    computing()
                    learner = self._factory.load_finished(name)
                logits = self._predict(learner, data.add_noise(split, learner, noise))
                found = stored_logits.save(folder, data.ids(split), logits, say=self._say)
            every.append(found)
        return every

    def predict(self, learner: Learner, stage: Stage, split: str) -> np.ndarray:
        """Compute the learner's logits on a whole split of the stage's data, in its order.

        Returns:
            [rows, classes]; they are not stored.
        """
        return self._predict(learner, self._data[stage.data].split(split, learner))

    def _predict(self, learner: Learner, view: View, rows: np.ndarray | None = None) -> np.ndarray:
        machine = self._machine
        return predict(learner, view, device=machine.device, bf16=machine.bf16, rows=rows)

    def _folder(self, name: str, stage: Stage, split: str) -> Path:
        fingerprint = self._data[stage.data].data.fingerprints[split]
        return self._store.logits(self._finished[name].key, fingerprint)


class _Report:
    """Says from time to time how many rows without labels a teacher has read.

    Args:
        name: of the teacher, as printed.
        total: rows to read.
    """

    def __init__(self, name: str, total: int) -> None:
        self._name = name
        self._total = total
        self._read = 0
        self._began = self._said = time.monotonic()

    def add(self, rows: int, say: Say) -> None:
        """Count rows; say the rate if the last line is some time ago, or if all are read."""
        self._read += rows
        now = time.monotonic()
        if self._read < self._total and now - self._said < _LINE_SECONDS:
            return
        self._said = now
        rate = self._read / max(now - self._began, 1e-9)
        say(f"{self._name}: {self._read:,} of {self._total:,} rows without labels, {rate:,.0f}/s")
