"""Cheap dropout masks are dropout masks, and the attention spelled out around them is attention."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from support.learners import FAMILIES, NewLearner, assert_alike, gradients, inputs_of
from torch.nn.attention import SDPBackend, sdpa_kernel

from distill_runner.methods.pilot import jvp
from distill_runner.models import saving
from distill_runner.models.fast import attention, dropout
from distill_runner.models.fast.dropout import Dropout, draw_cheaply, drop

ELEMENTS = 1 << 20


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_a_share_p_is_dropped_and_the_expectation_stays(p: float) -> None:
    torch.manual_seed(1)
    dropped = drop(torch.ones(ELEMENTS, dtype=torch.float64), p)
    kept = dropped != 0
    error = 5 * math.sqrt(p * (1 - p) / ELEMENTS)
    assert abs(kept.double().mean().item() - (1 - p)) < error + 2**-17
    # Scale and rounded probability belong together.
    (scale,) = dropped[kept].unique().tolist()
    assert round(65536 / scale) == round((1 - p) * 65536)
    assert abs(dropped.mean().item() - 1) < 5 * math.sqrt(p / (1 - p) / ELEMENTS)


@pytest.mark.parametrize("apart", [1, 2, 3, 4, 384])
def test_elements_are_dropped_independently_of_each_other(apart: int) -> None:
    torch.manual_seed(1)
    kept = (drop(torch.ones(ELEMENTS), 0.5) != 0).double() - 0.5
    correlation = 4 * (kept[apart:] * kept[:-apart]).mean().item()
    assert abs(correlation) < 5 / math.sqrt(ELEMENTS)


def test_the_four_elements_of_a_draw_take_every_pattern_alike() -> None:
    torch.manual_seed(1)
    kept = (drop(torch.ones(ELEMENTS), 0.5) != 0).view(-1, 4).long()
    counts = torch.bincount(kept @ torch.tensor([8, 4, 2, 1]), minlength=16).double()
    expected = ELEMENTS / 4 / 16
    # Chi-square with 15 degrees of freedom: above 44 once in ten thousand draws.
    assert ((counts - expected) ** 2 / expected).sum() < 44


@pytest.mark.parametrize("p", [0.0, 1e-6, 1 - 1e-6, 1.0])
def test_a_share_that_sixteen_bits_cannot_say_is_left_to_torch(p: float) -> None:
    hidden = torch.arange(1.0, 1001.0)
    torch.manual_seed(1)
    found = drop(hidden, p)
    torch.manual_seed(1)
    assert torch.equal(found, torch.nn.functional.dropout(hidden, p))


def test_one_seed_gives_one_mask_whatever_the_shape() -> None:
    def drawn(*shape: int) -> torch.Tensor:
        torch.manual_seed(7)
        return drop(torch.ones(shape), 0.3).flatten()

    assert torch.equal(drawn(3, 5, 7), drawn(105))  # 105 is no multiple of four
    assert not torch.equal(drawn(105), drop(torch.ones(105), 0.3))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("equal_lengths", [False, True])  # without padding there is no mask
@pytest.mark.parametrize("narrow", [False, True])
def test_logits_and_gradients_are_transformers_own_where_nothing_falls_out(
    new_learner: NewLearner,
    texts: list[str],
    family: str,
    equal_lengths: bool,
    narrow: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = [texts[0]] * 3 if equal_lengths else texts
    expected_logits, expected = gradients(new_learner(family), read)
    learner = new_learner(family, dropout=0.3)
    draw_cheaply(learner.module)
    if narrow:
        learner.read_first_token_only()
    asked = []
    monkeypatch.setattr(dropout, "drop", lambda hidden, p: (asked.append(p), hidden)[1])
    logits, found = gradients(learner, read)
    # Embeddings, and in each of two layers the attention weights and one output at least.
    assert len(asked) >= 5
    assert set(asked) == {0.3}
    torch.testing.assert_close(logits, expected_logits, rtol=1e-12, atol=1e-13)
    assert_alike(found, expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_directional_derivative_has_the_forward_passs_own_masks(
    new_learner: NewLearner, texts: list[str], family: str
) -> None:
    learner = new_learner(family, dropout=0.3)
    draw_cheaply(learner.module)
    inputs = inputs_of(learner, texts)
    direction = {name: torch.cos(weight.detach()) for name, weight in learner.trainable()}

    def logits(step: float = 0.0) -> torch.Tensor:
        moved = {n: w.detach() + step * direction[n] for n, w in learner.trainable()}
        with learner.with_weights(moved):
            torch.manual_seed(3)
            return learner.logits(inputs)

    def seeded() -> torch.Tensor:
        torch.manual_seed(3)
        return learner.logits(inputs)

    with sdpa_kernel(SDPBackend.MATH):
        exact = jvp(seeded, learner, direction)
    step = 1e-5
    near = (logits(step) - logits(-step)) / (2 * step)
    torch.testing.assert_close(near, exact, rtol=1e-6, atol=1e-8)


def test_in_evaluation_nothing_is_drawn(new_learner: NewLearner, texts: list[str]) -> None:
    plain, cheap = new_learner(dropout=0.3), new_learner(dropout=0.3)
    draw_cheaply(cheap.module)
    before = torch.get_rng_state()
    with plain.evaluating(), cheap.evaluating():
        expected, found = (one.logits(inputs_of(one, texts)) for one in (plain, cheap))
    assert torch.equal(found, expected)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_saved_model_is_transformers_own(new_learner: NewLearner, tmp_path: Path) -> None:
    learner = new_learner(dropout=0.3, dtype=torch.float32)
    draw_cheaply(learner.module)
    saving.save(learner, tmp_path / "model", classes=["a", "b"])
    assert attention.NAME not in (tmp_path / "model" / "config.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("change", ["eager", "decoder"])
def test_a_model_with_an_attention_of_its_own_is_left_alone(
    new_learner: NewLearner, change: str
) -> None:
    module = new_learner(dropout=0.3).module
    if change == "eager":
        module.set_attn_implementation("eager")  # type: ignore[operator]
    else:
        module.config.is_decoder = True  # type: ignore[union-attr]
    draw_cheaply(module)
    assert not any(isinstance(part, Dropout) for part in module.modules())
