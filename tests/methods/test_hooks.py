"""Hooks of a method: a module of its own, trained with the student."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

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
    OptimizerSettings,
    StartingStudent,
    Update,
)
from distill_runner.methods.batch import Batch
from distill_runner.models import loading
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
    loading.save(job.student, tmp_path / "model", classes=("a", "b"))
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
