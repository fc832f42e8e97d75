"""Prepares one student as its run would, to measure it before it is trained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from distill_runner.config.compose import raw_method
from distill_runner.console.screen import Screen
from distill_runner.errors import Refused
from distill_runner.export.rows import learnt_texts, texts_of
from distill_runner.jobs.preparation import ModelFinder, Ready, prepare_run
from distill_runner.methods.construct import make_algorithm
from distill_runner.models import saving
from distill_runner.pipeline.stage_costs import rows_of
from distill_runner.planning.initialisation import RandomWeights
from distill_runner.planning.planner import make_plan
from distill_runner.planning.stages import TASK, Stage, steps_of
from distill_runner.search.asked import Asked, Composed, compose_words
from distill_runner.search.forms import StudentFolders
from distill_runner.search.points import Variant
from distill_runner.serving.texts import Text
from distill_runner.tasks.base import Task
from distill_runner.tasks.kinds import task_of

if TYPE_CHECKING:
    import datasets

    from distill_runner.data.load import Prepared


@dataclass(frozen=True)
class Bench:
    """A student's run, checked and ready, with nothing trained."""

    composed: Composed
    ready: Ready

    @property
    def data(self) -> Prepared:
        """The task's rows."""
        return self.ready.data[TASK]

    @cached_property
    def task(self) -> Task:
        """The data set's task."""
        return task_of(self.composed.settings.dataset)

    @property
    def stage(self) -> Stage:
        """The stage whose student is deployed."""
        return self.ready.plan.stage(self.ready.plan.deployed)

    @property
    def steps(self) -> int:
        """Optimiser steps of the deployed student."""
        data = self.ready.runner.parts.data[self.stage.data]
        return steps_of(self.stage.training, rows_of(self.stage, self.ready.plan, data))

    @property
    def depth(self) -> int | None:
        """Transformer layers of the student's model; None if its config does not say."""
        shape = self.ready.runner.parts.folders.shape_of(self.stage)
        found: int | None = getattr(shape.config, "num_hidden_layers", None)
        return found

    def rows(self, split: str) -> datasets.Dataset:
        """Return the rows of a split that students are judged on.

        Raises:
            Refused: it has none.
        """
        found = self.data.splits.get(split)
        if found is None:
            raise Refused(
                f"There are no {split} rows, on which students are judged.",
                key=f"dataset.split.{split}",
                value=0,
                rule="above 0: validation chooses the finalists, and test judges them",
                way_out=f"dataset.split.{split}=0.1",
            )
        return found

    def texts(self, split: str) -> tuple[Text, ...]:
        """Return the texts of a split."""
        return texts_of(self.rows(split))

    def learnt_texts(self) -> tuple[Text, ...]:
        """Return the texts that the student learns from, with labels or without."""
        return learnt_texts(self.data)

    def student_in(self, folder: Path) -> StudentFolders:
        """Describe the student that lies in a folder, or whose members lie in folders inside."""
        names = self.ready.plan.members or (self.ready.plan.deployed,)
        inside = tuple(folder / name for name in self.ready.plan.members) or (folder,)
        settings, machine = self.composed.settings, self.ready.machine
        return StudentFolders(
            folders=inside,
            names=names,
            task=self.task,
            classes=self.data.label_names,
            max_tokens=settings.dataset.max_tokens,
            pairs="text_pair" in self.rows("validation").column_names,
            bf16=machine.bf16 and machine.device.type == "cpu",
            first_token_only=settings.runtime.first_token_only,
            leave_padding_out=settings.runtime.leave_padding_out,
        )

    def write_untrained(self, folder: Path) -> StudentFolders:
        """Write the student with random weights: as large and as fast as the trained one.

        Raises:
            Refused: the method cannot train it.
        """
        found = self.student_in(folder)
        stage = replace(self.stage, initialisation=RandomWeights())
        try:
            learner = self.ready.runner.parts.factory.learner(stage)
        except Refused as refused:
            static = self.stage.learner.layers == ()
            if not static:
                raise
            raise refused.with_way_out("frontier.static=false") from None
        learner.module.cpu()
        for each in found.folders:
            saving.save(learner, each, classes=found.classes)
        return found


def open_bench(asked: Asked, variant: Variant) -> Bench:
    """Make every check of a student's run that precedes training.

    Raises:
        Refused: its run would be refused.
    """
    folder = asked.folder / "unused"
    composed = compose_words(asked.words_for(variant, steps=None, folder=folder))
    settings = composed.settings
    hub = ModelFinder(settings)
    plan = make_plan(
        settings,
        method=composed.choices["method"],
        raw_method=raw_method(composed.node),
        make_algorithm=make_algorithm,
        is_classifier=hub.is_classifier,
    )
    _check_teachers(composed, teachers=len(plan.teachers))
    ready = prepare_run(
        settings, plan, hub, screen=Screen(silent=True), folder=folder, sweeping=False
    )
    assert ready is not None  # only a dry run is not ready
    return Bench(composed, ready)


def _check_teachers(composed: Composed, *, teachers: int) -> None:
    if teachers == 0:
        raise Refused(
            "A search compares students with their teachers, and this method has none.",
            key="method",
            value=composed.choices["method"],
            rule="a method with teachers",
            way_out="method=kd",
        )
