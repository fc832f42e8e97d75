"""Stochastic depth: which layers a pass skips, how often, and what the others then read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from support.learners import FAMILIES, NewLearner, inputs_of
from support.tiny import Bench
from support.training import job_of

from distill_runner.errors import Refused
from distill_runner.models.architecture.layers import keep_layers, layers_of
from distill_runner.models.depth import StochasticDepth
from distill_runner.models.learner import Learner
from distill_runner.training import loop

# How a learner reads: whole batches, the last layer narrowed, and without padding.
READINGS = ("whole", "narrowed", "packed")


def reading(learner: Learner, how: str) -> Learner:
    if how != "whole":
        learner.read_first_token_only()
    if how == "packed":
        learner.leave_padding_out()
    return learner


def skipping(monkeypatch: pytest.MonkeyPatch, *skipped: bool) -> None:
    monkeypatch.setattr(StochasticDepth, "draw", lambda _: list(skipped))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("how", READINGS)
@pytest.mark.parametrize("kept", [(0,), (1,), ()])
def test_a_skipped_layer_is_as_good_as_not_there(
    new_learner: NewLearner,
    texts: list[str],
    monkeypatch: pytest.MonkeyPatch,
    family: str,
    how: str,
    kept: tuple[int, ...],
) -> None:
    skipping(monkeypatch, *(at not in kept for at in range(2)))
    learner, without = reading(new_learner(family), how), new_learner(family)
    learner.skip_layers(0.5)
    if kept:
        keep_layers(without.module, kept)
    else:
        del layers_of(without.module)[:]
    inputs = inputs_of(learner, texts)
    expected = without.logits(inputs)
    torch.testing.assert_close(learner.logits(inputs), expected, rtol=1e-12, atol=1e-13)
    learner.skip_layers(0)
    assert not torch.allclose(learner.logits(inputs), expected)


def test_a_last_layer_that_is_always_skipped_learns_nothing(
    new_learner: NewLearner, texts: list[str]
) -> None:
    learner = reading(new_learner(), "narrowed")
    learner.skip_layers(1.0)
    learner.logits(inputs_of(learner, texts)).square().sum().backward()
    last = layers_of(learner.module)[-1]
    assert all(weight.grad is None for weight in last.parameters())


def test_layers_are_skipped_as_often_as_their_depth_says(new_learner: NewLearner) -> None:
    depth = StochasticDepth(tuple(range(5)), 0.5)
    torch.manual_seed(1)
    draws = torch.tensor([depth.draw() for _ in range(4000)], dtype=torch.float64)
    expected = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5], dtype=torch.float64)
    torch.testing.assert_close(draws.mean(0), expected, rtol=0, atol=0.03)
    # Each by itself: both of the last two go as often as the product says.
    assert (draws[:, 3] * draws[:, 4]).mean().item() == pytest.approx(0.2, abs=0.03)
    only = StochasticDepth.of(new_learner().module, 1.0)
    assert only is not None
    assert only.draw()[-1]


@pytest.mark.parametrize("how", READINGS)
def test_every_layer_takes_part_in_an_evaluation(
    new_learner: NewLearner, texts: list[str], how: str
) -> None:
    learner, plain = reading(new_learner(), how), reading(new_learner(), how)
    learner.skip_layers(1.0)
    inputs = inputs_of(learner, texts)
    state = torch.get_rng_state()
    with learner.evaluating(), plain.evaluating():
        assert torch.equal(learner.logits(inputs), plain.logits(inputs))
    assert torch.equal(torch.get_rng_state(), state)  # nor is anything drawn


def test_the_layers_are_skipped_that_the_address_says_however_the_batch_is_read(
    new_learner: NewLearner, texts: list[str]
) -> None:
    found = {}
    for how in READINGS:
        learner = reading(new_learner(dropout=0.0), how)
        learner.skip_layers(0.6)
        inputs = inputs_of(learner, texts)
        passes = []
        for seed in range(12):
            torch.manual_seed(seed)
            passes.append(learner.logits(inputs).detach())
        found[how] = torch.stack(passes)
    assert len({tuple(one.flatten().tolist()) for one in found["whole"]}) > 2
    for how in READINGS[1:]:
        torch.testing.assert_close(found[how], found["whole"], rtol=1e-12, atol=1e-13)


def test_a_pass_leaves_the_layers_as_they_were(new_learner: NewLearner, texts: list[str]) -> None:
    learner = reading(new_learner(), "narrowed")
    learner.skip_layers(1.0)
    learner.logits(inputs_of(learner, texts))
    assert not any("forward" in vars(layer) for layer in layers_of(learner.module))


def test_an_unknown_architecture_is_refused(new_learner: NewLearner) -> None:
    learner = new_learner()
    learner.module.config.model_type = "xlnet"  # type: ignore[union-attr]
    with pytest.raises(Refused, match=r"method\.stochastic_depth=0"):
        learner.skip_layers(0.2)
    learner.skip_layers(0)


def test_a_noisy_student_skips_layers_and_its_teacher_does_not(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[StochasticDepth] = []
    draw = StochasticDepth.draw

    def watched(self: StochasticDepth) -> list[bool]:
        drawn.append(self)
        return draw(self)

    bench = Bench.make(store, "noisy_student", ("method.generations=1",))
    job = job_of(bench, tmp_path / "job")  # the teachers and the baseline are trained by now
    monkeypatch.setattr(StochasticDepth, "draw", watched)
    training = loop.Loop(job)
    first = training.batches.make(0, 0, 0, training.order.epoch(0)[0])
    assert torch.equal(first.student_logits(), first.student_logits())
    assert {one.p for one in drawn} == {0.2}
    assert {id(one.layers[0]) for one in drawn} == {id(layers_of(job.student.module)[0])}
    plain = Bench.make(store, "kd")
    drawn.clear()
    loop.Loop(job_of(plain, tmp_path / "kd")).step(0, 0, np.arange(4))
    assert not drawn
