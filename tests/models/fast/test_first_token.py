"""The last layer for the first token alone gives the same logits and the same gradients."""

from __future__ import annotations

import pytest
import torch
from support.learners import FAMILIES, NewLearner, assert_alike, gradients, inputs_of
from torch.nn.attention import SDPBackend, sdpa_kernel

from distill_runner.methods.pilot import jvp
from distill_runner.models.fast.first_token import LastLayer


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("equal_lengths", [False, True])  # without padding there is no mask
def test_logits_and_gradients_are_the_same(
    new_learner: NewLearner, texts: list[str], family: str, equal_lengths: bool
) -> None:
    read = [texts[0]] * 3 if equal_lengths else texts
    whole, narrow = new_learner(family), new_learner(family)
    narrow.read_first_token_only()
    expected_logits, expected = gradients(whole, read)
    logits, found = gradients(narrow, read)
    torch.testing.assert_close(logits, expected_logits, rtol=1e-12, atol=1e-13)
    assert max(gradient.abs().max() for gradient in expected.values()) > 1e-3
    assert_alike(found, expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_directional_derivatives_are_the_same(
    new_learner: NewLearner, texts: list[str], family: str
) -> None:
    found = []
    for narrow in (False, True):
        learner = new_learner(family)
        if narrow:
            learner.read_first_token_only()
        direction = {name: torch.cos(weight.detach()) for name, weight in learner.trainable()}
        inputs = inputs_of(learner, texts)
        with sdpa_kernel(SDPBackend.MATH):
            found.append(jvp(lambda: learner.logits(inputs), learner, direction))  # noqa: B023
    torch.testing.assert_close(found[0], found[1], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_dropout_stays_on_in_the_last_layer(
    new_learner: NewLearner, texts: list[str], family: str
) -> None:
    learner = new_learner(family, dropout=0.3)
    learner.read_first_token_only()
    inputs = inputs_of(learner, texts)
    last = LastLayer.of(learner.module)
    assert last is not None
    for part in learner.module.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    for part in last.layer.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.3
    once, again = learner.logits(inputs), learner.logits(inputs)
    assert not torch.equal(once, again)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_module_itself_stays_as_transformers_made_it(
    new_learner: NewLearner, texts: list[str], family: str
) -> None:
    learner = new_learner(family)
    learner.read_first_token_only()
    inputs = inputs_of(learner, texts)
    learner.logits(inputs)
    hidden = learner.module(**inputs, output_hidden_states=True).hidden_states
    assert hidden[-1].shape == hidden[0].shape


@pytest.mark.parametrize("change", ["eager", "decoder", "another class"])
def test_what_is_not_known_is_left_alone(new_learner: NewLearner, change: str) -> None:
    module = new_learner().module
    assert LastLayer.of(module) is not None
    if change == "eager":
        module.set_attn_implementation("eager")  # type: ignore[operator]
    elif change == "decoder":
        module.config.is_decoder = True  # type: ignore[union-attr]
    else:
        module.__class__ = type("Another", (type(module),), {})
    assert LastLayer.of(module) is None
