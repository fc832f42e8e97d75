"""Bundles a finished plan with its data and predictions, and computes every score once."""

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
from distill_runner.results.schema import TuningResult
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
        plan: the stages that were carried out.
        data: the task's data.
        all_data: every data set of the plan, by name.
        task: scores models and compares them by the primary metric.
        labels: by split, [rows].
        clusters: by split, [rows], the number of each row's cluster.
        overrides: what was typed.
        tuning: the trials that validation chose among; None if nothing was tuned.
    """

    def __init__(
        self,
        config: Config,
        data: Mapping[str, Prepared],
        outcome: Outcome,
        predictions: Predictions,
        *,
        overrides: Sequence[str],
        tuning: TuningResult | None = None,
    ) -> None:
        self.config = config
        self.plan = outcome.plan
        self.data = data[TASK]
        self.all_data = data
        self.outcome = outcome
        self.predictions = predictions
        self.overrides = tuple(overrides)
        self.tuning = tuning
        self.task = task_of(config.dataset)
        self.labels = {split: self.task.labels(table) for split, table in self.data.splits.items()}
        self.clusters = {
            split: self.task.clusters(table) for split, table in self.data.splits.items()
        }
        self._records = {name: read_record(found) for name, found in outcome.artifacts.items()}
        self._known: dict[tuple[int, str], tuple[np.ndarray, Score]] = {}

    # --- stages ---------------------------------------------------------------------------

    @property
    def deployed(self) -> Stage:
        """The stage whose student is deployed."""
        return self.plan.stage(self.plan.deployed)

    def record(self, stage: str) -> StageRecord:
        """Return the store's record of a finished stage."""
        return self._records[stage]

    def history(self, stage: Stage) -> list[dict[str, float]]:
        """Return the figures of every epoch, with this run's names for the teachers."""
        record = self.record(stage.name)
        names = dict(zip(record.teachers, stage.teachers, strict=True))
        return [curves.as_named(values, names) for values in record.history]

    def model_id(self, stage: str) -> str:
        """Return this run's name for the model; the store may have the content by another name."""
        return self.plan.stage(stage).learner.id

    def steps(self, stage: str) -> int:
        """Return the optimiser steps of the stage's learner over all of its stages."""
        made = steps_made(self.plan, stage, lambda one: self.record(one.name).training.steps)
        assert made is not None
        return made

    def may_have_seen_test_rows(self, stage: str) -> bool:
        """Return whether the model comes from a classifier whose training rows are unknown."""
        return stage in self.outcome.from_classifiers

    def times_smaller(self, parameters: int) -> dict[str, float]:
        """Return each teacher's number of parameters divided by this one."""
        return {
            short_name(name): self.parameters(name) / parameters for name in self.model_teachers
        }

    def parameters(self, stage: str) -> int:
        """Return the number of weights of a stage's model."""
        found = self.record(stage).parameters
        assert found is not None  # a file of answers has no model
        return found

    @property
    def model_teachers(self) -> tuple[str, ...]:
        """The configured teachers that are models; the others are files of answers."""
        return tuple(name for name in self.plan.teachers if self.plan.stage(name).answers is None)

    # --- scores ---------------------------------------------------------------------------

    @property
    def scored_splits(self) -> list[str]:
        """The splits with fair scores: without validation if it chose anything.

        It may have chosen an epoch, a repetition or a trial.
        """
        selected = self.config.training.select is Select.best_validation
        chose = selected or bool(self.plan.stopping) or self.tuning is not None
        present = [
            split for split in scored_splits(self.config.dataset) if split in self.data.splits
        ]
        return [split for split in present if not (chose and split == "validation")]

    def score(self, logits: np.ndarray, split: str) -> Score:
        """Score logits; a stage's recorded score may be in other metrics than this run's."""
        # The array is kept with its score, so that no other array gets the same id.
        key = id(logits), split
        if key not in self._known:
            self._known[key] = logits, self.task.score(logits, self.data.splits[split])
        return self._known[key][1]

    def scores(self, stage: str) -> Scores:
        """Return the scores of the stage's student on every scored split."""
        return {
            split: self.score(self.predictions.logits(stage, split), split)
            for split in self.scored_splits
            if self.predictions.has(stage, split)
        }

    def all_answer(self, split: str) -> bool:
        """Return whether each configured teacher has an answer for every row of a split."""
        return all(self.predictions.has(name, split) for name in self.plan.teachers)

    def value(self, logits: np.ndarray, split: str) -> float:
        """Return the primary metric."""
        return self.task.value(logits, self.labels[split])


def short_name(teacher: str) -> str:
    """Return a teacher's name without its group."""
    return teacher.removeprefix("teacher/")


def saw_every_training_row(outcome: Outcome, data: Prepared) -> bool:
    """Return whether the deployed stage trained for at least one epoch; a smoke run does not."""
    stage = outcome.plan.stage(outcome.plan.deployed)
    steps = read_record(outcome.artifacts[stage.name]).training.steps
    rows = outcome.plan.rows_of(stage, data.counts)
    return steps * stage.training.batch_size >= rows
