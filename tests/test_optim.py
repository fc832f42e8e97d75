"""The schedule by hand, the clipping per learner, and who is decayed."""

from __future__ import annotations

import math

import pytest
import torch
from conftest import FAMILIES, NewLearner

from distill_runner.models.learner import Learner
from distill_runner.optim import adamw, clip, eps_of, rate_at
from distill_runner.schema import Schedule


def rates(schedule: Schedule, *, total: int = 10, warmup: float = 0.2) -> list[float]:
    return [
        rate_at(step, total=total, warmup_fraction=warmup, schedule=schedule)
        for step in range(total)
    ]


def test_the_linear_schedule_climbs_to_its_peak_and_falls_to_zero() -> None:
    expected = [1 / 2, 1, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8]
    assert rates(Schedule.linear) == pytest.approx(expected)


def test_the_constant_schedule_is_held_after_its_warm_up() -> None:
    assert rates(Schedule.constant, warmup=0.4) == pytest.approx([0.25, 0.5, 0.75] + [1.0] * 7)


def test_the_cosine_schedule_is_half_way_down_half_way_through() -> None:
    found = rates(Schedule.cosine)
    assert found[:3] == pytest.approx([0.5, 1.0, 1.0])
    assert found[6] == pytest.approx(0.5)
    assert found[9] == pytest.approx(0.5 * (1 + math.cos(math.pi * 7 / 8)))


@pytest.mark.parametrize("schedule", list(Schedule))
def test_without_warm_up_the_first_step_is_at_the_peak(schedule: Schedule) -> None:
    assert rates(schedule, warmup=0.0)[0] == 1.0


@pytest.mark.parametrize("schedule", list(Schedule))
@pytest.mark.parametrize("total", [1, 2, 7])
@pytest.mark.parametrize("warmup", [0.0, 0.06, 0.5, 1.0])
def test_no_step_is_wasted_on_a_rate_of_zero(schedule: Schedule, total: int, warmup: float) -> None:
    assert all(0 < rate <= 1 for rate in rates(schedule, total=total, warmup=warmup))


@pytest.mark.parametrize("family", FAMILIES)
def test_biases_and_norms_are_not_decayed_and_every_weight_is_optimised_once(
    new_learner: NewLearner, family: str
) -> None:
    learner = new_learner(family)
    groups = adamw([learner], learning_rate=1e-3, weight_decay=0.1).param_groups
    decay = {id(w): group["weight_decay"] for group in groups for w in group["params"]}
    assert len(decay) == sum(len(group["params"]) for group in groups)
    assert set(decay) == {id(weight) for _, weight in learner.trainable()}
    for name, weight in learner.trainable():
        # What has one dimension is a bias or a norm; matrices and embeddings have two.
        assert decay[id(weight)] == (0.0 if weight.ndim == 1 else 0.1), name


def test_frozen_weights_are_not_optimised(new_learner: NewLearner) -> None:
    learner = new_learner()
    embeddings = learner.module.get_input_embeddings()  # type: ignore[operator]
    embeddings.weight.requires_grad_(False)
    groups = adamw([learner], learning_rate=1e-3, weight_decay=0.1).param_groups
    assert all(w is not embeddings.weight for group in groups for w in group["params"])


def test_one_optimiser_over_two_learners_is_one_for_each(new_learner: NewLearner) -> None:
    def step(*learners: Learner) -> None:
        optimizer = adamw(learners, learning_rate=1e-2, weight_decay=0.1)
        for learner in learners:
            for _, weight in learner.trainable():
                weight.grad = torch.sin(weight.detach())
        optimizer.step()

    together = [new_learner(seed=1), new_learner("roberta", seed=2)]
    apart = [new_learner(seed=1), new_learner("roberta", seed=2)]
    step(*together)
    for learner in apart:
        step(learner)
    for one, other in zip(together, apart, strict=True):
        for (_, found), (_, expected) in zip(one.trainable(), other.trainable(), strict=True):
            assert torch.equal(found, expected)


def test_eps_is_adams_own_times_the_factor(new_learner: NewLearner) -> None:
    learner = new_learner()
    assert eps_of(adamw([learner], learning_rate=1e-3, weight_decay=0.0)) == 1e-8
    small = adamw([learner], learning_rate=1e-3, weight_decay=0.0, eps_factor=2e-5)
    assert eps_of(small) == pytest.approx(2e-13)


def test_a_gradient_divided_by_eta_moves_as_one_with_eps_times_eta(
    new_learner: NewLearner,
) -> None:
    eta, moved = 2e-5, []
    for scale, factor in ((eta, eta), (1.0, 1.0), (eta, 1.0)):
        learner = new_learner()
        optimizer = adamw([learner], learning_rate=1e-3, weight_decay=0.0, eps_factor=factor)
        for _, weight in learner.trainable():
            weight.grad = 1e-6 * scale * torch.cos(weight.detach())
        optimizer.step()
        moved.append(torch.cat([w.detach().flatten() for _, w in learner.trainable()]))
    torch.testing.assert_close(moved[0], moved[1], rtol=1e-9, atol=1e-12)
    assert (moved[2] - moved[1]).abs().max() > 5e-4


def with_gradient_norm(learner: Learner, norm: float) -> Learner:
    weights = [weight for _, weight in learner.trainable()]
    total = sum(weight.numel() for weight in weights)
    for weight in weights:
        weight.grad = torch.full_like(weight, norm / math.sqrt(total))
    return learner


def norm_of(learner: Learner) -> float:
    return float(
        torch.cat([weight.grad.flatten() for _, weight in learner.trainable()]).norm()  # type: ignore[union-attr]
    )


def test_each_learner_is_clipped_by_its_own_norm(new_learner: NewLearner) -> None:
    large = with_gradient_norm(new_learner(seed=1), 40.0)
    small = with_gradient_norm(new_learner("roberta", seed=2), 0.5)
    before = clip([large, small], 1.0)
    assert [float(norm) for norm in before] == pytest.approx([40.0, 0.5])
    assert norm_of(large) == pytest.approx(1.0, rel=1e-5)
    assert norm_of(small) == pytest.approx(0.5)


def test_a_limit_of_0_clips_nothing_and_still_measures(new_learner: NewLearner) -> None:
    learner = with_gradient_norm(new_learner(), 40.0)
    assert float(clip([learner], 0.0)[0]) == pytest.approx(40.0)
    assert norm_of(learner) == pytest.approx(40.0)
