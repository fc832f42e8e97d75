"""What every method promises, over every conf/method/*.yaml."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from support.learners import same, weights_of, without_dropout
from support.tiny import METHODS, STUDENTS, TEACHERS, Bench, command, composed, planned, run, shrunk
from support.training import Killed, Silent, job_of

from distill_runner.errors import DistillError
from distill_runner.methods.base import Update
from distill_runner.methods.batch import Batch
from distill_runner.methods.finetune import FineTune
from distill_runner.models.teachers import LiveTeachers
from distill_runner.training import loop

LIVE = ("noise=delete", "noise.p=0.01")  # noise that both see: teachers read every batch


def live(method: str) -> tuple[str, ...]:
    """`LIVE`, except for those that refuse it: a pool is labelled from the clean text."""
    _, plan = planned(composed("profile=tiny", f"method={method}"), method)
    pooled = plan.stage(plan.deployed).algorithm.needs.pool
    return (*LIVE, "noise.seen_by=student") if pooled else LIVE


@pytest.mark.parametrize("method", METHODS)
def test_a_run_leaves_a_student_and_a_result(method: str, store: Path, tmp_path: Path) -> None:
    run(tmp_path, store, method)
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["status"] == "finished"
    assert result["metrics"]["test"]["n"] == 60
    # Students that are deployed together have a folder each.
    for folder in result["student"]["members"] or ["."]:
        assert (tmp_path / "student" / folder / "model.safetensors").is_file()
    assert len((tmp_path / "predictions" / "test.csv").read_text().splitlines()) == 61


@pytest.mark.parametrize("method", METHODS)
def test_only_the_declared_roles_change(method: str, store: Path, tmp_path: Path) -> None:
    bench = Bench.make(store, method, live(method))
    job = job_of(bench, tmp_path)
    job = replace(job, training=replace(job.training, max_steps=2))
    teachers = job.teachers.learners if isinstance(job.teachers, LiveTeachers) else ()
    before = {learner.name: weights_of(learner) for learner in (job.student, *teachers)}
    loop.Loop(job).run(Silent())  # type: ignore[arg-type]
    declared = {learner.name for role in job.algorithm.roles for learner in job.roles[role]}
    for learner in (job.student, *teachers):
        changed = not same(before[learner.name], weights_of(learner))
        assert changed == (learner.name in declared), learner.name


@pytest.mark.parametrize("method", METHODS)
def test_micro_batches_mean_the_same_as_one_batch(method: str, store: Path, tmp_path: Path) -> None:
    after = []
    for pieces in (1, 2):
        bench = Bench.make(store, method, live(method))
        job = job_of(bench, tmp_path / str(pieces))
        if not job.algorithm.accumulates:
            pytest.skip(f"{method} declares that it does not accumulate")
        # Dropout is drawn for each micro-batch, so the two agree only without it. One step
        # of Adam on a nearly zero gradient magnifies rounding, hence float64.
        for learner in (job.student, *getattr(job.teachers, "learners", ())):
            without_dropout(learner)
            learner.module.double()
        training = replace(job.training, max_steps=3, accumulate=pieces, batch_size=7)
        loop.Loop(replace(job, training=training)).run(Silent())  # type: ignore[arg-type]
        after.append(weights_of(job.student))
    for name in after[0]:
        torch.testing.assert_close(after[0][name], after[1][name], rtol=0, atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("at", [3, 8, 13])
def test_interrupted_and_resumed_equals_uninterrupted(
    method: str, at: int, store: Path, tmp_path: Path
) -> None:
    bench = Bench.make(store, method)
    whole = job_of(bench, tmp_path / "whole")
    loop.Loop(whole).run(Silent())  # type: ignore[arg-type]

    class Fatal(Silent):
        def show(self, step: int, values: object) -> None:  # noqa: ARG002
            if step == at:
                raise Killed

    broken = job_of(bench, tmp_path / "broken", checkpoint_seconds=0.0)
    with pytest.raises(Killed):
        loop.Loop(broken).run(Fatal())  # type: ignore[arg-type]
    again = job_of(bench, tmp_path / "broken")
    resumed = loop.Loop(again)
    assert resumed.progress.step == at - 1
    resumed.run(Silent())  # type: ignore[arg-type]
    assert same(weights_of(whole.student), weights_of(again.student))
    curves = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("whole", "broken")]
    assert curves[0] == curves[1]


class Stops(loop.Loop):
    """A loop whose process ends right behind the checkpoint of step `last`."""

    last = 0

    def save(self) -> None:
        super().save()
        if self.progress.step == self.last:
            raise Killed


@pytest.mark.parametrize("at", [3, 5, 10])
def test_curves_do_not_depend_on_when_checkpoints_are_taken(
    at: int, store: Path, tmp_path: Path
) -> None:
    bench = Bench.make(store, "metadistil")

    def points(name: str, seconds: float) -> bytes:
        job = job_of(bench, tmp_path / name, checkpoint_seconds=seconds, log_every=5)
        loop.Loop(job).run(Silent())  # type: ignore[arg-type]
        return (tmp_path / name / "metrics.jsonl").read_bytes()

    broken = Stops(job_of(bench, tmp_path / "broken", checkpoint_seconds=0.0, log_every=5))
    broken.last = at
    with pytest.raises(Killed):
        broken.run(Silent())  # type: ignore[arg-type]
    never = points("never", 1e9)
    assert never.count(b"student/loss") == 5  # steps 5, 8, 10, 15, 16: two epochs end in 8 and 16
    assert never == points("always", 0.0) == points("broken", 1e9)


def test_a_checkpoint_between_two_points_holds_no_broken_loss(store: Path, tmp_path: Path) -> None:
    bench = Bench.make(store, "finetune")
    job = job_of(bench, tmp_path, algorithm=Breaks(), checkpoint_seconds=0.0, log_every=100)
    with pytest.raises(DistillError, match=r"student/loss is nan in steps 1\.\.4"):
        loop.Loop(job).run(Silent())  # type: ignore[arg-type]
    kept = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert kept["progress"]["step"] == 3


@pytest.mark.parametrize("method", METHODS)
def test_the_same_seed_gives_the_same_numbers(method: str, store: Path, tmp_path: Path) -> None:
    bench = Bench.make(store, method)
    after = []
    for name in ("first", "second"):
        torch.manual_seed(hash(name) % 1000)
        job = job_of(bench, tmp_path / name)
        loop.Loop(job).run(Silent())  # type: ignore[arg-type]
        after.append(weights_of(job.student))
    assert same(*after)
    other = job_of(bench, tmp_path / "other", seed=7)
    loop.Loop(other).run(Silent())  # type: ignore[arg-type]
    assert not same(after[0], weights_of(other.student))


# Chains train three or four students each.
CHAINS = {"assistant", "born_again", "noisy_student"}


@pytest.mark.parametrize(
    "method",
    [
        pytest.param(method, marks=pytest.mark.slow) if method in CHAINS else method
        for method in METHODS
    ],
)
def test_it_overfits_eight_rows(method: str, store: Path, tmp_path: Path) -> None:
    has_alpha = "alpha" in shrunk(store, f"method={method}").method
    bench = Bench.make(
        store,
        method,
        (
            "dataset.split.train=8",
            "training.epochs=150",
            "training.learning_rate=5e-3",
            *(["method.alpha=0.2"] if has_alpha else []),
        ),
    )
    job = job_of(bench, tmp_path, validate=dict)
    without_dropout(job.student)
    loop.Loop(job).run(Silent())  # type: ignore[arg-type]
    view = job.rows.student
    with job.student.evaluating(), torch.no_grad():
        logits = job.student.logits(view.inputs(np.arange(8), 0))
    assert (logits.argmax(-1).numpy() == job.rows.labels[:8]).all()  # a pool comes behind them


@pytest.mark.parametrize("method", METHODS)
def test_the_same_run_again_trains_nothing(method: str, store: Path, tmp_path: Path) -> None:
    run(tmp_path / "first", store, method)
    run(tmp_path / "second", store, method)
    first, second = (
        json.loads((tmp_path / name / "result.json").read_text()) for name in ("first", "second")
    )
    assert not any(stage["trained_now"] for stage in second["stages"].values())
    assert first["key"] == second["key"]
    assert first["metrics"] == second["metrics"]
    weights = sorted((tmp_path / "first" / "student").rglob("*.safetensors"))
    assert weights
    for path in weights:
        again = tmp_path / "second" / path.relative_to(tmp_path / "first")
        assert same(load_file(path), load_file(again))


@dataclass(frozen=True, kw_only=True)
class Breaks(FineTune):
    """Fine-tuning whose loss is lost in the fourth step."""

    steps: list[int] = field(default_factory=list)

    def updates(self, batch: Batch) -> Iterator[Update]:
        self.steps.append(1)
        (update,) = super().updates(batch)
        yield replace(update, loss=update.loss * (float("nan") if len(self.steps) > 3 else 1))


def test_a_loss_that_is_no_number_stops_the_stage_and_is_never_saved(
    store: Path, tmp_path: Path
) -> None:
    bench = Bench.make(store, "finetune")
    job = job_of(bench, tmp_path, algorithm=Breaks(), checkpoint_seconds=0.0)
    with pytest.raises(DistillError, match=r"student/loss is nan in steps 4\.\.4"):
        loop.Loop(job).run(Silent())  # type: ignore[arg-type]
    kept = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert kept["progress"]["step"] == 3


def test_a_damaged_checkpoint_is_not_gone_on_from(store: Path, tmp_path: Path) -> None:
    bench = Bench.make(store, "finetune")
    job = job_of(bench, tmp_path)
    (tmp_path / "checkpoint.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(DistillError, match=r"checkpoint\.pt is damaged"):
        loop.Loop(job)


@pytest.mark.parametrize("student", STUDENTS)
def test_every_student_trains_in_small(student: str, store: Path, tmp_path: Path) -> None:
    run(tmp_path, store, "finetune", f"student={student}", "training.max_steps=2")
    assert (tmp_path / "student" / "model.safetensors").is_file()


@pytest.mark.parametrize("teacher", TEACHERS)
def test_every_teacher_set_teaches_in_small(teacher: str, store: Path, tmp_path: Path) -> None:
    asked = ("training.max_steps=2", "teacher.training.max_steps=2")
    run(tmp_path, store, "kd", f"teacher={teacher}", *asked)
    assert len(json.loads((tmp_path / "result.json").read_text())["teachers"]) >= 1


@pytest.mark.parametrize("noise", ["replace_word", "mask", "delete", "swap"])
@pytest.mark.parametrize("seen_by", ["student", "both"])
def test_every_noise_is_learned_under(
    noise: str, seen_by: str, store: Path, tmp_path: Path
) -> None:
    asked = (f"noise={noise}", f"noise.seen_by={seen_by}", "training.max_steps=9")
    run(tmp_path, store, "kd", "teacher=bert", *asked)
    assert json.loads((tmp_path / "result.json").read_text())["status"] == "finished"


def test_a_sweep_counts_only_its_own_jobs_and_survives_a_fault(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def launch(*asked: str) -> int:
        common = (f"store.dir={store}", f"output_dir={tmp_path}/sweep", "method=finetune", "-m")
        return command(monkeypatch, *common, *asked)

    assert launch("seed=1,2") == 0
    assert len(json.loads((tmp_path / "sweep" / "sweep.json").read_text())) == 2
    old = time.time() - 60
    for path in (tmp_path / "sweep").glob("*/attempt.json"):
        os.utime(path, (old, old))
    assert launch("seed=3") == 0
    assert len(json.loads((tmp_path / "sweep" / "sweep.json").read_text())) == 1
    assert launch("training.learning_rate=1e-3,7") == 2
    statuses = [
        row["status"] for row in json.loads((tmp_path / "sweep" / "sweep.json").read_text())
    ]
    assert statuses[1] == "refused"
    monkeypatch.setattr("distill_runner.results.collect.run.collect_result", lambda *_, **__: 1 / 0)
    assert launch("seed=1,2") == 1
    found = json.loads((tmp_path / "sweep" / "0" / "attempt.json").read_text())
    assert found["status"] == "failed"
    assert "ZeroDivisionError" in (tmp_path / "sweep" / "0" / "log.txt").read_text()
