"""A finished plan with its data and predictions; every score is computed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from distill_runner.config.schema import Config, Select
from distill_runner.pipeline.outcome import Outcome
from distill_runner.pipeline.predictions import Predictions
from distill_runner.pipeline.stage_records import read_record
from distill_runner.planning.baseline import steps_made
from distill_runner.planning.stages import TASK, Stage
from distill_runner.results.scores import Score, Scores
from distill_runner.results.stage_record import StageRecord
from distill_runner.tasks.base import scored_splits
from distill_runner.tasks.kinds import task_of
from distill_runner.tracking import curves

if TYPE_CHECKING:
    from distill_runner.data.load import Prepared


class FinishedRun:
    """The plan, data, artifacts and predictions that a result is collected from.

    Attributes:
        plan: the stages that took place.
        data: of the task.
        all_data: of every data set that the plan names.
        task: scores models and compares them by the primary metric.
        labels: by split, [rows].
        overrides: what was typed.
    """

    def __init__(
        self,
        config: Config,
        data: Mapping[str, Prepared],
        outcome: Outcome,
        predictions: Predictions,
        *,
        overrides: Sequence[str],
    ) -> None:
        self.config = config
        self.plan = outcome.plan
        self.data = data[TASK]
        self.all_data = data
        self.outcome = outcome
        self.predictions = predictions
        self.overrides = tuple(overrides)
        self.task = task_of(config.dataset)
        self.labels = {split: self.task.labels(table) for split, table in self.data.splits.items()}
        self._records = {name: read_record(found) for name, found in outcome.artifacts.items()}
        self._known: dict[tuple[int, str], tuple[np.ndarray, Score]] = {}

    # --- stages ---------------------------------------------------------------------------

    @property
    def deployed(self) -> Stage:
        """The stage whose student is the run's."""
        return self.plan.stage(self.plan.deployed)

    def record(self, stage: str) -> StageRecord:
        """What the store knows of a finished stage."""
        return self._records[stage]

    def history(self, stage: Stage) -> list[dict[str, float]]:
        """The figures of every epoch, teachers by the names that this run has for them."""
        record = self.record(stage.name)
        names = dict(zip(record.teachers, stage.teachers, strict=True))
        return [curves.as_named(values, names) for values in record.history]

    def model_id(self, stage: str) -> str:
        """The model as it is named here: the store may know the same content by another name."""
        return self.plan.stage(stage).learner.id

    def steps(self, stage: str) -> int:
        """All optimiser steps of the learner that the stage has left."""
        made = steps_made(self.plan, stage, lambda one: self.record(one.name).training.steps)
        assert made is not None
        return made

    def may_have_seen_test_rows(self, stage: str) -> bool:
        """True of a classifier from elsewhere: nobody here knows what it was trained on."""
        return stage in self.outcome.from_classifiers

    def times_smaller(self, parameters: int) -> dict[str, float]:
        """The parameters of every teacher over these."""
        return {
            short_name(name): self.record(name).parameters / parameters
            for name in self.plan.teachers
        }

    # --- scores ---------------------------------------------------------------------------

    @property
    def scored_splits(self) -> list[str]:
        """The splits that are results; one that chose an epoch or a repetition is none."""
        selected = self.config.training.select is Select.best_validation
        chose = selected or bool(self.plan.stopping)
        present = [
            split for split in scored_splits(self.config.dataset) if split in self.data.splits
        ]
        return [split for split in present if not (chose and split == "validation")]

    def score(self, logits: np.ndarray, split: str) -> Score:
        """From the logits, not from the stage: it may have been scored by other metrics."""
        # The array is kept with its score, so that no other array gets the same id.
        key = id(logits), split
        if key not in self._known:
            self._known[key] = logits, self.task.score(logits, self.data.splits[split])
        return self._known[key][1]

    def scores(self, stage: str) -> Scores:
        """The scores of the stage's student on every split that is a result."""
        return {
            split: self.score(self.predictions.logits(stage, split), split)
            for split in self.scored_splits
        }

    def value(self, logits: np.ndarray, split: str) -> float:
        """The primary metric."""
        return self.task.value(logits, self.labels[split])


def short_name(teacher: str) -> str:
    """A teacher's name without its group."""
    return teacher.removeprefix("teacher/")


def saw_every_training_row(outcome: Outcome, data: Prepared) -> bool:
    """Whether the deployed stage trained for an epoch at least; a smoke run does not."""
    stage = outcome.plan.stage(outcome.plan.deployed)
    steps = read_record(outcome.artifacts[stage.name]).training.steps
    rows = sum(data.counts[split] for split in stage.rows)
    return steps * stage.training.batch_size >= rows
