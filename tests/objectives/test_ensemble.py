"""Several teachers' logits are joined by the mean that is named."""

from __future__ import annotations

import math

import pytest
import torch

from distill_runner.config.schema import Combine
from distill_runner.objectives.ensemble import Ensemble, logit_mean, prob_mean, weights_by_accuracy

LOGITS = torch.tensor(
    [
        [[1.0, -2.0, 0.5], [0.0, 3.0, -1.0]],
        [[-4.0, 0.3, 2.0], [1.0, 1.0, 1.0]],
        [[0.2, 0.1, 6.0], [-2.0, 0.0, 2.0]],
    ],
    dtype=torch.float64,
)
WEIGHTS = torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64)

every_temperature = pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])


@every_temperature
def test_the_softened_prob_mean_is_the_weighted_arithmetic_mean(temperature: float) -> None:
    joined = torch.softmax(prob_mean(LOGITS, WEIGHTS, temperature) / temperature, dim=-1)
    expected = sum(
        weight * torch.softmax(one / temperature, dim=-1)
        for weight, one in zip(WEIGHTS, LOGITS, strict=True)
    )
    torch.testing.assert_close(joined, expected, rtol=1e-12, atol=0)


@every_temperature
def test_the_logit_mean_is_the_renormalised_geometric_mean(temperature: float) -> None:
    joined = torch.softmax(logit_mean(LOGITS, WEIGHTS) / temperature, dim=-1)
    product = torch.ones_like(LOGITS[0])
    for weight, one in zip(WEIGHTS, LOGITS, strict=True):
        product = product * torch.softmax(one / temperature, dim=-1) ** weight
    expected = product / product.sum(dim=-1, keepdim=True)
    torch.testing.assert_close(joined, expected, rtol=1e-12, atol=0)


def test_the_logit_mean_is_the_weighted_sum_by_hand() -> None:
    joined = logit_mean(LOGITS, WEIGHTS)
    assert joined[0, 0].item() == pytest.approx(0.5 * 1.0 + 0.2 * -4.0 + 0.3 * 0.2)
    assert joined[1, 2].item() == pytest.approx(0.5 * -1.0 + 0.2 * 1.0 + 0.3 * 2.0)


def test_one_teacher_alone_is_left_as_it_is() -> None:
    alone = LOGITS[:1]
    one = torch.ones(1, dtype=torch.float64)
    assert torch.equal(logit_mean(alone, one), alone[0])
    joined = torch.softmax(prob_mean(alone, one, 2.0) / 2.0, dim=-1)
    torch.testing.assert_close(joined, torch.softmax(alone[0] / 2.0, dim=-1))


def test_a_weight_of_0_leaves_a_teacher_out_with_finite_gradients() -> None:
    logits = LOGITS.clone().requires_grad_()
    weights = torch.tensor([0.25, 0.0, 0.75], dtype=torch.float64)
    for joined in (prob_mean(logits, weights, 2.0), logit_mean(logits, weights)):
        (gradient,) = torch.autograd.grad(joined[:, 0].sum(), logits)
        assert torch.isfinite(gradient).all()
        assert torch.equal(gradient[1], torch.zeros_like(gradient[1]))


def test_the_two_means_differ_where_the_teachers_do() -> None:
    by_logits = torch.softmax(logit_mean(LOGITS, WEIGHTS), dim=-1)
    by_probs = torch.softmax(prob_mean(LOGITS, WEIGHTS, 1.0), dim=-1)
    assert (by_logits - by_probs).abs().max() > 0.05


def test_bfloat16_autocast_leaves_the_teachers_logits_in_float32() -> None:
    logits, weights = LOGITS.float(), WEIGHTS.float()
    with torch.autocast("cpu", torch.bfloat16):
        joined = logit_mean(logits, weights), prob_mean(logits, weights, 2.0)
    plain = logit_mean(logits, weights), prob_mean(logits, weights, 2.0)
    for mixed, full in zip(joined, plain, strict=True):
        assert mixed.dtype is torch.float32
        assert torch.equal(mixed, full)


def test_a_teachers_own_temperature_divides_its_logits_before_they_are_joined() -> None:
    weights, own = tuple(WEIGHTS.tolist()), (0.5, 4.0, 2.0)[: len(WEIGHTS)]
    cooled = torch.stack([part / t for part, t in zip(LOGITS, own, strict=True)])
    for combine, plain in (
        (Combine.logit_mean, logit_mean(cooled, WEIGHTS)),
        (Combine.prob_mean, prob_mean(cooled, WEIGHTS, 3.0)),
    ):
        joined = Ensemble(combine, weights, own).join(LOGITS, 3.0)
        torch.testing.assert_close(joined, plain)
        assert not torch.allclose(joined, Ensemble(combine, weights).join(LOGITS, 3.0))


def test_weights_by_accuracy_are_the_log_odds_over_chance() -> None:
    found = weights_by_accuracy([0.9, 0.6, 0.3], rows=100, classes=2)
    odds = [math.log(0.9 / 0.1), math.log(0.6 / 0.4), 0.0]
    assert found == pytest.approx([one / sum(odds) for one in odds])
    three = weights_by_accuracy([0.5, 1.0], rows=100, classes=3)
    sure = math.log(2 * 0.995 / 0.005)
    assert three == pytest.approx([math.log(2) / (math.log(2) + sure), sure / (math.log(2) + sure)])
    assert weights_by_accuracy([0.2, 0.0], rows=10, classes=2) == (0.5, 0.5)
