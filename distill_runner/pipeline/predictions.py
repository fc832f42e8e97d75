"""The predictions of a finished plan's models on the task's splits, single and joined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from distill_runner.config.schema import Combine, Noise
from distill_runner.console.names import stage_name
from distill_runner.models import heads
from distill_runner.objectives.ensemble import Ensemble
from distill_runner.pipeline.parts import Parts
from distill_runner.planning.stages import TASK, Plan, Stage
from distill_runner.tasks.base import Task

if TYPE_CHECKING:
    from distill_runner.data.encoding import View
    from distill_runner.models.learner import Learner


class Predictions:
    """Gives logits, [rows, classes], in a split's order, from the store or computed now.

    Args:
        plan: as it was carried out.
        parts: of the run; the logits come from its cache.
        say: prints what takes a while.
    """

    def __init__(self, plan: Plan, parts: Parts, *, say: Callable[[str], None]) -> None:
        self._plan = plan
        self._parts = parts
        self._data = parts.data[TASK].data
        self._task = parts.data[TASK].task
        self._say = say
        self._known: dict[tuple[str, str], np.ndarray] = {}

    def logits(self, stage: str, split: str) -> np.ndarray:
        """Return the logits of a stage's student; for the deployed stage, of all its members."""
        key = stage, split
        if key not in self._known:
            each = [self._of_one(name, split) for name in self._together(stage)]
            self._known[key] = mean_of_models(self._task, each)
        return self._known[key]

    def has(self, stage: str, split: str) -> bool:
        """Return whether a stage predicts every row of a split; a file of answers may not."""
        return self._parts.logits.has(stage, split)

    def has_soft_heads(self, stage: str) -> bool:
        """Return whether a stage's student has soft heads in addition to its classifier."""
        return (self._parts.finished[stage].model / heads.FILE).is_file()

    def without_soft_heads(self, stage: str, split: str) -> np.ndarray:
        """Return a student's logits without its soft heads, as a plain classifier gives them."""
        return self._parts.logits.without_soft_heads(stage, split).of(self._ids(split))

    def joined_teachers(self, split: str) -> np.ndarray:
        """Return the joined logits of the configured teachers."""
        return self.join([self.logits(name, split) for name in self._plan.teachers])

    def join(self, each: Sequence[np.ndarray]) -> np.ndarray:
        """Join the configured teachers' logits as the stage that they teach does.

        If each teacher has its own soft head, training joins nothing; the mean of their
        probabilities is then TMKD's ensemble of teachers (Yang et al. 2020, table 4).

        Args:
            each: of every teacher, [rows, classes].

        Returns:
            [rows, classes].
        """
        stage = self._taught
        if stage.teachers == self._plan.teachers and not self._apart:
            return _join(each, self._parts.teachers.ensemble(stage))
        return _join(each, _equal_ensemble(self._task, self.combine, len(each)))

    @property
    def combine(self) -> Combine:
        """How `join` joins the configured teachers."""
        return self._task.mean_of_models if self._apart else self._taught.combination.combine

    @property
    def _taught(self) -> Stage:
        """The first stage that all configured teachers teach; a chain may deploy a later one."""
        plan = self._plan
        taught = (
            stage
            for stage in plan.stages
            if stage.teachers == plan.teachers and stage.data == TASK and stage.teachers
        )
        return next(taught, plan.stage(plan.deployed))

    @property
    def _apart(self) -> bool:
        """Whether each teacher has its own soft head, so that their logits are not joined."""
        return bool(self._taught.teachers) and not self._taught.algorithm.needs.joined

    def under_noise(self, stage: str, noises: Sequence[Noise]) -> list[np.ndarray]:
        """Return the logits on the test rows: clean first, then under each noise."""
        each = [self._one_under_noise(name, noises) for name in self._together(stage)]
        return [
            mean_of_models(self._task, of_one_noise) for of_one_noise in zip(*each, strict=True)
        ]

    def learners(self, stage: str) -> list[tuple[Learner, View]]:
        """Return the learners that predict for a stage, each with its view of the test rows."""
        self._say(f"  {stage_name(stage)}: measuring its speed")
        learners: list[tuple[Learner, View]] = []
        for name in self._together(stage):
            learner = self._parts.factory.load_finished(name)
            rows = self._parts.data[self._plan.stage(name).data]
            learners.append((learner, rows.split("test", learner)))
        return learners

    def _together(self, stage: str) -> tuple[str, ...]:
        deployed = stage == self._plan.deployed
        return self._plan.members if deployed and self._plan.members else (stage,)

    def _of_one(self, stage: str, split: str) -> np.ndarray:
        return self._parts.logits.logits(stage, split).of(self._ids(split))

    def _one_under_noise(self, stage: str, noises: Sequence[Noise]) -> list[np.ndarray]:
        found = self._parts.logits.under_noise(
            stage,
            "test",
            noises,
            computing=lambda: self._say(f"  {stage_name(stage)}: reads the test rows with noise"),
        )
        noisy = [stored.of(self._ids("test")) for stored in found]
        return [self._of_one(stage, "test"), *noisy]

    def _ids(self, split: str) -> list[str]:
        # Reads the whole column: row by row it takes seventy times as long.
        ids: list[str] = self._data.splits[split]["id"][:]
        return ids


def mean_of_models(task: Task, each: Sequence[np.ndarray]) -> np.ndarray:
    """Return the joint prediction of several models: logits, [rows, outputs]."""
    if len(each) == 1:
        return each[0]
    return _join(each, _equal_ensemble(task, task.mean_of_models, len(each)))


def _equal_ensemble(task: Task, combine: Combine, count: int) -> Ensemble:
    return task.ensemble(combine, (1 / count,) * count)


def _join(each: Sequence[np.ndarray], ensemble: Ensemble) -> np.ndarray:
    import torch

    return np.asarray(ensemble.join(torch.from_numpy(np.stack(each)), 1.0).numpy())
