"""The schedule by hand, clipping for each learner, and which weights are decayed."""

from __future__ import annotations

import math

import pytest
import torch
from support.learners import FAMILIES, NewLearner

from distill_runner.config.schema import Schedule
from distill_runner.models.learner import Learner
from distill_runner.training.optim import adamw, eps_of, rate_at, step


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


def moved(learners: list[Learner], limit: float) -> list[torch.Tensor]:
    """Each learner's weights after two steps, the second on a fresh gradient of sin."""
    optimizer = adamw(learners, learning_rate=1e-3, weight_decay=0.1, eps_factor=1e6)
    step(optimizer, learners, limit)
    for learner in learners:
        for _, weight in learner.trainable():
            weight.grad = torch.sin(weight.detach())
    step(optimizer, learners, limit)
    return [torch.cat([w.detach().flatten() for _, w in each.trainable()]) for each in learners]


def moved_by_torch(learners: list[Learner], limit: float) -> list[torch.Tensor]:
    """The same with torch's own clipping."""
    optimizer = adamw(learners, learning_rate=1e-3, weight_decay=0.1, eps_factor=1e6)
    for turn in range(2):
        for learner in learners:
            weights = [weight for _, weight in learner.trainable()]
            if turn:
                for weight in weights:
                    weight.grad = torch.sin(weight.detach())
            torch.nn.utils.clip_grad_norm_(weights, limit)
        optimizer.step()
    return [torch.cat([w.detach().flatten() for _, w in each.trainable()]) for each in learners]


def pair(new_learner: NewLearner, dtype: torch.dtype = torch.float64) -> list[Learner]:
    """A learner whose gradient is large, and one whose gradient is small."""
    large = with_gradient_norm(new_learner(seed=1, dtype=dtype), 40.0)
    return [large, with_gradient_norm(new_learner("roberta", seed=2, dtype=dtype), 0.5)]


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("limit", [1.0, 1e9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_step_is_torchs_clipping_and_adamw(
    new_learner: NewLearner, count: int, limit: float, dtype: torch.dtype
) -> None:
    found = moved(pair(new_learner, dtype)[:count], limit)
    expected = moved_by_torch(pair(new_learner, dtype)[:count], limit)
    for one, other in zip(found, expected, strict=True):
        # Torch adds 1e-6 to the norm before it divides.
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)


def test_clipping_makes_a_difference(new_learner: NewLearner) -> None:
    clipped, free = moved(pair(new_learner), 1.0), moved(pair(new_learner), 0.0)
    assert (clipped[0] - free[0]).abs().max() > 1e-5


@pytest.mark.parametrize("limit", [0.0, 1.0])
def test_a_step_returns_the_norms_before_clipping(new_learner: NewLearner, limit: float) -> None:
    learners = pair(new_learner)
    optimizer = adamw(learners, learning_rate=1e-3, weight_decay=0.0)
    norms = step(optimizer, learners, limit)
    assert [float(norm) for norm in norms] == pytest.approx([40.0, 0.5])
