"""Mutual learning equals two networks and two optimisers written out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.algorithms import with_defaults
from support.learners import weights_of, without_dropout
from support.tiny import Bench
from support.training import Silent, job_of
from torch import Tensor

from distill_runner.errors import Refused
from distill_runner.methods.mutual import Mutual
from distill_runner.models.teachers import LiveTeachers
from distill_runner.training import loop
from distill_runner.training.stage_job import Job

PEERS = "method.peers=[{model:roberta-base},{}]"


def job(folder: Path, *overrides: str) -> Job:
    bench = Bench.make(folder / "store", "mutual", overrides)
    made = job_of(bench, folder / "job")
    return replace(made, training=replace(made.training, max_steps=2))


def divergence(own: Tensor, other: Tensor, temperature: float) -> Tensor:
    """T²·KL(other‖own), averaged over the rows, in plain sums."""
    p, q = (other / temperature).softmax(-1), (own / temperature).softmax(-1)
    return temperature**2 * (p * (p.log() - q.log())).sum(-1).mean()


def by_hand(
    made: Job, form: str, steps: int, *, temperature: float, mimicry: float
) -> list[dict[str, Tensor]]:
    """Deep mutual learning over the same rows: the weights of student and peers."""
    assert isinstance(made.teachers, LiveTeachers)
    learners = [made.student, *made.teachers.learners]
    training = made.training
    optimizers = [
        torch.optim.AdamW(
            [
                {"params": [w], "weight_decay": training.weight_decay if w.ndim > 1 else 0.0}
                for w in learner.module.parameters()
            ],
            lr=training.learning_rate,
        )
        for learner in learners
    ]
    shell = loop.Loop(made)  # for its order and its schedule alone
    for step, rows in enumerate(shell.order.epoch(0)[:steps]):
        views = [made.rows.student, *made.rows.teachers]
        labels = torch.from_numpy(made.rows.labels[rows])

        def logits(at: int) -> Tensor:
            return learners[at].logits(views[at].inputs(rows, 0))  # noqa: B023

        found = [logits(at) for at in range(len(learners))]
        for at, optimizer in enumerate(optimizers):
            others = [other.detach() for n, other in enumerate(found) if n != at]
            if form == "alternating" and at > 0:
                others[0] = logits(0).detach()  # the student has made its step
            loss = torch.nn.functional.cross_entropy(found[at], labels)
            apart = sum(divergence(found[at], other, temperature) for other in others)
            loss = loss + mimicry * apart / len(others)
            optimizer.zero_grad()
            loss.backward()
            for group in optimizer.param_groups:
                group["lr"] = training.learning_rate * shell_rate(shell, step)
            optimizer.step()
    return [weights_of(learner) for learner in learners]


def shell_rate(shell: loop.Loop, step: int) -> float:
    training = shell.job.training
    return loop.optim.rate_at(
        step,
        total=shell.total,
        warmup_fraction=training.warmup_fraction,
        schedule=training.schedule,
    )


@pytest.mark.parametrize("form", ["simultaneous", "alternating"])
@pytest.mark.parametrize(("temperature", "mimicry"), [(1.0, 1.0), (3.0, 0.4)])
def test_a_step_is_that_of_networks_written_out_by_hand(
    form: str, temperature: float, mimicry: float, tmp_path: Path
) -> None:
    asked = (
        *(PEERS, f"method.form={form}", "training.clip_norm=0"),
        *(f"method.temperature={temperature}", f"method.mimicry={mimicry}"),
    )
    expected, found = [], []
    for name in ("hand", "ours"):
        made = job(tmp_path / name, *asked)
        assert isinstance(made.teachers, LiveTeachers)
        learners = [made.student, *made.teachers.learners]
        for learner in learners:
            without_dropout(learner)
            learner.module.double()
        if name == "hand":
            expected = by_hand(made, form, 2, temperature=temperature, mimicry=mimicry)
        else:
            loop.Loop(made).run(Silent())  # type: ignore[arg-type]
            found = [weights_of(learner) for learner in learners]
    assert len(expected) == len(found) == 3
    for ours, theirs in zip(found, expected, strict=True):
        for name, weight in theirs.items():
            torch.testing.assert_close(ours[name], weight, rtol=0, atol=1e-9, msg=name)


def test_the_two_forms_are_not_the_same(tmp_path: Path) -> None:
    after = []
    for form in ("simultaneous", "alternating"):
        made = job(tmp_path / form, f"method.form={form}", "training.learning_rate=1e-2")
        loop.Loop(made).run(Silent())  # type: ignore[arg-type]
        assert isinstance(made.teachers, LiveTeachers)
        after.append(weights_of(made.teachers.learners[0]))
    assert any(not torch.equal(after[0][name], after[1][name]) for name in after[0])


def test_no_gradient_leaks_from_one_learner_into_another(tmp_path: Path) -> None:
    made = job(tmp_path, PEERS)
    assert isinstance(made.teachers, LiveTeachers)
    training = loop.Loop(made)
    updates = made.algorithm.updates(training.batches.make(0, 0, 0, training.order.epoch(0)[0]))
    student = [weight for _, weight in made.student.trainable()]
    peers = [weight for peer in made.teachers.learners for _, weight in peer.trainable()]
    for of, others in ((student, peers), (peers, student)):
        loss = next(updates).loss
        leaked = torch.autograd.grad(loss, others, allow_unused=True, retain_graph=True)
        assert all(gradient is None for gradient in leaked)
        assert any(
            gradient is not None for gradient in torch.autograd.grad(loss, of, allow_unused=True)
        )


def test_without_mimicry_each_learns_alone(tmp_path: Path) -> None:
    alone = Bench.make(tmp_path / "store", "finetune")
    fine = job_of(alone, tmp_path / "alone")
    fine = replace(fine, training=replace(fine.training, max_steps=2))
    made = job(tmp_path, "method.mimicry=0")
    loop.Loop(fine).run(Silent())  # type: ignore[arg-type]
    loop.Loop(made).run(Silent())  # type: ignore[arg-type]
    theirs = weights_of(fine.student)
    for name, weight in weights_of(made.student).items():
        torch.testing.assert_close(weight, theirs[name], rtol=0, atol=1e-7, msg=name)


def test_a_twin_starts_from_other_weights(tmp_path: Path) -> None:
    made = job(tmp_path)
    assert isinstance(made.teachers, LiveTeachers)
    (twin,) = made.teachers.learners
    student = weights_of(made.student)
    assert any(not torch.equal(student[name], weight) for name, weight in weights_of(twin).items())


def test_peers_have_dropout_on_and_a_mask_of_the_steps_own(tmp_path: Path) -> None:
    made = job(tmp_path)
    training = loop.Loop(made)
    rows = training.order.epoch(0)[0]

    def logits(at: int) -> Tensor:
        return training.batches.make(0, at, 0, rows).teacher_logits().detach()

    assert torch.equal(logits(0), logits(0))
    assert not torch.equal(logits(0), logits(1))


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"temperature": 0.0}, "temperature"),
        ({"mimicry": -1.0}, "mimicry"),
        ({"form": "both"}, "form"),
    ],
)
def test_a_setting_out_of_range_is_refused(settings: dict[str, object], key: str) -> None:
    with pytest.raises(Refused, match=f"method.{key}"):
        with_defaults(Mutual, **settings)  # type: ignore[arg-type]
