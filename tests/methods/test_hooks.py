"""Hooks of a method: a module of its own, trained with the student."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from support.tiny import Bench
from support.training import Killed, Silent, job_of
from torch import nn

from distill_runner.config.schema import Schedule
from distill_runner.methods.base import (
    Algorithm,
    Attachment,
    Needs,
    OfferedRows,
    OptimizerSettings,
    RowChoice,
    StartingStudent,
    Update,
)
from distill_runner.methods.batch import Batch
from distill_runner.methods.metadistil import MetaDistil
from distill_runner.models import loading, saving
from distill_runner.tasks.base import Task
from distill_runner.tasks.classification import Classification
from distill_runner.training import loop

SETTINGS = OptimizerSettings(learning_rate=0.5, weight_decay=0.0, schedule=Schedule.constant)


@dataclass(frozen=True, kw_only=True)
class Projected(Algorithm):
    """Learns the labels from logits that a matrix of its own has turned."""

    needs: ClassVar[Needs] = Needs()

    def formula(self, task: Task) -> str:  # noqa: ARG002
        return "L = CE(y, W s)"

    def prepare(self, student: StartingStudent) -> Sequence[Attachment]:
        turn = nn.Linear(student.classes, student.classes, bias=False)
        nn.init.eye_(turn.weight)
        return [Attachment("turn", turn, SETTINGS)]

    def updates(self, batch: Batch) -> Iterator[Update]:
        logits = batch.student.attached["turn"](batch.student_logits())
        yield Update("student", nn.functional.cross_entropy(logits, batch.labels))


@dataclass(frozen=True, kw_only=True)
class DrawnAtRandom(Projected):
    """The same, from a matrix that is drawn at random."""

    def prepare(self, student: StartingStudent) -> Sequence[Attachment]:
        return [Attachment("turn", nn.Linear(student.classes, student.classes), SETTINGS)]


@dataclass(frozen=True, kw_only=True)
class Backwards(MetaDistil):
    """MetaDistil on the rows from the last to the first."""

    def rows(self, offered: OfferedRows) -> RowChoice:
        return RowChoice(positions=np.arange(len(offered.labels))[::-1])


def with_algorithm(made: Bench, algorithm: Algorithm) -> Bench:
    """The same plan, with another algorithm in the stage that is deployed."""
    stages = [
        replace(stage, algorithm=algorithm) if stage.name == made.plan.deployed else stage
        for stage in made.plan.stages
    ]
    return Bench.of(made.config, replace(made.plan, stages=tuple(stages)))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = Bench.make(tmp_path / "store", "finetune")
    stages = [replace(stage, algorithm=Projected()) for stage in made.plan.stages]
    return Bench.of(made.config, replace(made.plan, stages=tuple(stages)))


def test_an_attached_module_is_trained_at_its_own_rate(bench: Bench, tmp_path: Path) -> None:
    training = loop.Loop(job_of(bench, tmp_path))
    turn = training.job.student.attached["turn"]
    training.run(Silent())  # type: ignore[arg-type]
    assert not torch.equal(turn.weight.cpu(), torch.eye(2))  # type: ignore[arg-type]
    rates = [group["lr"] for group in training.optimizers["student"].param_groups]
    assert rates[-1] == 0.5  # constant, while the student's own have come down
    assert max(rates[:-1]) < training.job.training.learning_rate


def test_an_attached_module_resumes_from_the_checkpoint(bench: Bench, tmp_path: Path) -> None:
    whole = job_of(bench, tmp_path / "whole")
    loop.Loop(whole).run(Silent())  # type: ignore[arg-type]

    class Fatal(Silent):
        def show(self, step: int, values: object) -> None:  # noqa: ARG002
            if step == 5:
                raise Killed

    with pytest.raises(Killed):
        loop.Loop(job_of(bench, tmp_path / "broken", checkpoint_seconds=0.0)).run(Fatal())  # type: ignore[arg-type]
    again = job_of(bench, tmp_path / "broken")
    loop.Loop(again).run(Silent())  # type: ignore[arg-type]
    for one, other in zip(whole.student.trainable(), again.student.trainable(), strict=True):
        assert torch.equal(one[1], other[1]), one[0]


def test_an_attached_module_is_no_part_of_the_saved_model(bench: Bench, tmp_path: Path) -> None:
    job = job_of(bench, tmp_path)
    saving.save(job.student, tmp_path / "model", classes=("a", "b"))
    plain = loading.load_trained(
        tmp_path / "model",
        name="student",
        task=Classification(),
        classes=("a", "b"),
        max_tokens=16,
        key="store.dir",
    )
    own = [name for name, _ in job.student.trainable() if not name.startswith("attached.")]
    assert [name for name, _ in plain.trainable()] == own


def test_the_first_weights_of_an_attached_module_depend_on_the_seed_alone(tmp_path: Path) -> None:
    found = []
    for drawn_before in (1, 2):
        made = Bench.make(tmp_path / "store", "finetune", ("student.model=bert-base-uncased",))
        bench = with_algorithm(made, DrawnAtRandom())
        torch.manual_seed(drawn_before)
        found.append(job_of(bench, tmp_path / str(drawn_before)).student.attached["turn"].weight)
    assert torch.equal(found[0], found[1])  # type: ignore[arg-type]


def test_teachers_that_are_trained_read_the_rows_that_a_method_chooses(tmp_path: Path) -> None:
    made = Bench.make(tmp_path / "store", "metadistil", ("teacher=bert",))
    given = made.plan.stage(made.plan.deployed).algorithm
    assert isinstance(given, MetaDistil)
    settings = {field.name: getattr(given, field.name) for field in fields(given)}
    bench = with_algorithm(made, Backwards(**settings))
    rows = job_of(bench, tmp_path / "run").rows
    plain = job_of(Bench.of(made.config, made.plan), tmp_path / "plain").rows
    assert rows.ids == plain.ids[::-1]
    first, last = np.arange(4), np.arange(len(rows.ids))[::-1][:4]
    for ours, whole in ((rows.student, plain.student), (rows.teachers[0], plain.teachers[0])):
        read = ours.inputs(first, 0)["input_ids"]
        assert torch.equal(read, whole.inputs(last, 0)["input_ids"])
