"""A batch without its padding gives the logits and the gradients of the padded one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.learners import FAMILIES, NewLearner, assert_alike, gradients, inputs_of
from torch.nn.attention import SDPBackend, sdpa_kernel

from distill_runner.methods.pilot import jvp
from distill_runner.models.fast.packed import Packer, Packing
from distill_runner.models.learner import Learner


def packing(learner: Learner) -> Learner:
    learner.read_first_token_only()
    learner.leave_padding_out()
    return learner


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("repeats", [1, 3])  # one group of rows, and several
def test_logits_and_gradients_are_the_same(
    new_learner: NewLearner, texts: list[str], family: str, repeats: int
) -> None:
    expected_logits, expected = gradients(new_learner(family), texts * repeats)
    learner = packing(new_learner(family))
    assert learner._packer is not None
    assert learner._packer.pack(inputs_of(learner, texts * repeats)) is not None
    logits, found = gradients(learner, texts * repeats)
    torch.testing.assert_close(logits, expected_logits, rtol=1e-12, atol=1e-13)
    assert_alike(found, expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_directional_derivatives_are_the_same(
    new_learner: NewLearner, texts: list[str], family: str
) -> None:
    found = []
    for learner in (new_learner(family), packing(new_learner(family))):
        direction = {name: torch.cos(weight.detach()) for name, weight in learner.trainable()}
        inputs = inputs_of(learner, texts)
        with sdpa_kernel(SDPBackend.MATH):
            found.append(jvp(lambda: learner.logits(inputs), learner, direction))  # noqa: B023
    torch.testing.assert_close(found[0], found[1], rtol=1e-10, atol=1e-12)


def test_a_batch_with_hardly_any_padding_stays_as_it_is(
    new_learner: NewLearner, texts: list[str]
) -> None:
    learner = packing(new_learner())
    assert learner._packer is not None
    assert learner._packer.pack(inputs_of(learner, [texts[0]] * 3)) is None
    assert learner._packer.pack(inputs_of(learner, [texts[0]])) is None


def test_without_the_narrowed_last_layer_nothing_is_packed(new_learner: NewLearner) -> None:
    learner = new_learner()
    learner.leave_padding_out()
    assert learner._packer is None


def test_an_attention_of_its_own_is_left_alone(new_learner: NewLearner) -> None:
    module = new_learner().module
    module.set_attn_implementation("eager")  # type: ignore[operator]
    assert Packer.of(module) is None


def test_every_token_is_in_one_group_and_comes_back_to_its_place() -> None:
    lengths = np.random.default_rng(1).integers(1, 30, size=21)
    made = Packing.of(lengths)
    total = int(lengths.sum())
    tokens = torch.arange(total)
    assert made.join(made.split(tokens)).tolist() == list(range(total))
    for group, part in zip(made.groups, made.split(tokens), strict=True):
        assert part[:, 0].tolist() == made.firsts[group.rows].tolist()
    assert made.unsorted(torch.from_numpy(lengths)[made.order]).tolist() == lengths.tolist()


def test_the_mask_of_a_seed_does_not_depend_on_which_row_comes_first(
    new_learner: NewLearner, texts: list[str]
) -> None:
    learner = packing(new_learner(dropout=0.3))
    torch.manual_seed(1)
    once = learner.logits(inputs_of(learner, texts))
    torch.manual_seed(1)
    assert torch.equal(learner.logits(inputs_of(learner, texts)), once)
    assert not torch.equal(learner.logits(inputs_of(learner, texts)), once)
