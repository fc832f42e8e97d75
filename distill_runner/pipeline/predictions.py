"""What each model of a finished plan answers on the task's splits, alone and together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from distill_runner.config.schema import Combine, Noise
from distill_runner.console.names import stage_name
from distill_runner.objectives.ensemble import Ensemble
from distill_runner.pipeline.learner_factory import Casting
from distill_runner.planning.stages import TASK, Plan, Stage

if TYPE_CHECKING:
    from distill_runner.data.encoding import View
    from distill_runner.data.load import Prepared
    from distill_runner.models.learner import Learner


class Answers:
    """Logits, [rows, classes], in a split's order; from the store, or computed now.

    Args:
        plan: as it was carried out.
        data: the task's.
        casting: finds the models and what they said.
        say: told what takes a while.
    """

    def __init__(
        self, plan: Plan, data: Prepared, casting: Casting, *, say: Callable[[str], None]
    ) -> None:
        self._plan = plan
        self._data = data
        self._casting = casting
        self._say = say
        self._task = casting.task
        self._known: dict[tuple[str, str], np.ndarray] = {}

    def of(self, stage: str, split: str) -> np.ndarray:
        """Of a stage's student; of all that are deployed together where it is the last of them."""
        asked = stage, split
        if asked not in self._known:
            each = [self._of_one(name, split) for name in self._together(stage)]
            self._known[asked] = self._mean(each)
        return self._known[asked]

    def of_golden_head(self, stage: str, split: str) -> np.ndarray:
        """Of a student with soft heads as a plain classifier would load it: without them."""
        return self._casting.golden_signals(stage, split).of(self._ids(split))

    def of_teachers(self, split: str) -> np.ndarray:
        """Of the configured teachers as one."""
        return self.join([self.of(name, split) for name in self._plan.teachers])

    def join(self, each: Sequence[np.ndarray]) -> np.ndarray:
        """The configured teachers' answers as one: as the stage that they teach joins them.

        Where each has a soft head of its own, nothing is joined in training: the mean of their
        probabilities is TMKD's ensemble of teachers (Yang et al. 2020, table 4).

        Args:
            each: of every teacher, [rows, classes].

        Returns:
            [rows, classes].
        """
        stage = self._taught
        if stage.teachers == self._plan.teachers and not self._apart:
            return _joined(each, self._casting.ensemble(stage))
        return self._equally(each, self.combine)

    @property
    def combine(self) -> Combine:
        """How `join` joins the configured teachers."""
        return self._task.mean_of_models if self._apart else self._taught.combine

    @property
    def _taught(self) -> Stage:
        """The first stage that all configured teachers teach: of a chain, not the deployed one."""
        plan = self._plan
        taught = (
            stage
            for stage in plan.stages
            if stage.teachers == plan.teachers and stage.data == TASK and stage.teachers
        )
        return next(taught, plan.stage(plan.deployed))

    @property
    def _apart(self) -> bool:
        """Whether each teacher has a soft head of its own, and none is joined."""
        count = len(self._taught.teachers)
        return 0 < count == self._taught.algorithm.soft_heads(count)

    def under_noise(self, stage: str, noises: Sequence[Noise]) -> list[np.ndarray]:
        """As `of` on the test rows, clean and under each noise."""
        each = [self._one_under_noise(name, noises) for name in self._together(stage)]
        return [self._mean(of_one_noise) for of_one_noise in zip(*each, strict=True)]

    def answering(self, stage: str) -> list[tuple[Learner, View]]:
        """The learners that answer for a stage, each with its view of the test rows."""
        self._say(f"  {stage_name(stage)}: is timed")
        return [self._casting.answering(name, "test") for name in self._together(stage)]

    def _together(self, stage: str) -> tuple[str, ...]:
        deployed = stage == self._plan.deployed
        return self._plan.members if deployed and self._plan.members else (stage,)

    def _of_one(self, stage: str, split: str) -> np.ndarray:
        return self._casting.signals(stage, split).of(self._ids(split))

    def _one_under_noise(self, stage: str, noises: Sequence[Noise]) -> list[np.ndarray]:
        found = self._casting.under_noise(
            stage,
            "test",
            noises,
            computing=lambda: self._say(f"  {stage_name(stage)}: reads the test rows with noise"),
        )
        noisy = [signals.of(self._ids("test")) for signals in found]
        return [self._of_one(stage, "test"), *noisy]

    def _mean(self, each: Sequence[np.ndarray]) -> np.ndarray:
        """The answer of models that are deployed together."""
        return each[0] if len(each) == 1 else self._equally(each, self._task.mean_of_models)

    def _equally(self, each: Sequence[np.ndarray], combine: Combine) -> np.ndarray:
        return _joined(each, self._task.ensemble(combine, (1 / len(each),) * len(each)))

    def _ids(self, split: str) -> list[str]:
        # The column at once: row by row it takes seventy times as long.
        ids: list[str] = self._data.splits[split]["id"][:]
        return ids


def _joined(each: Sequence[np.ndarray], ensemble: Ensemble) -> np.ndarray:
    import torch

    return np.asarray(ensemble.join(torch.from_numpy(np.stack(each)), 1.0).numpy())
