"""A word table cut to what is read trains to the same weights as the whole one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.learners import FAMILIES, NewLearner
from torch import Tensor

from distill_runner.data.encoding import Inputs
from distill_runner.errors import DistillError
from distill_runner.models.learner import Learner
from distill_runner.models.vocabulary import cut_to
from distill_runner.training.optim import adamw, step

READ = ["a good film", "no"]


def inputs_of(learner: Learner, texts: list[str]) -> Inputs:
    columns = learner.encoder.tokenize(texts)
    return learner.encoder.pad({"input_ids": columns["input_ids"]})  # type: ignore[dict-item]


def ids_of(learner: Learner, texts: list[str]) -> np.ndarray:
    return np.unique(inputs_of(learner, texts)["input_ids"].numpy())


def train(learner: Learner, steps: int = 4) -> None:
    optimizer = adamw([learner], learning_rate=1e-2, weight_decay=0.3)
    for _ in range(steps):
        learner.module.zero_grad()
        torch.sin(learner.logits(inputs_of(learner, READ))).sum().backward()  # type: ignore[no-untyped-call]
        step(optimizer, [learner], 1.0)


def word_table(learner: Learner) -> Tensor:
    table: Tensor = learner.module.get_input_embeddings().weight.detach()  # type: ignore[operator]
    return table


@pytest.mark.parametrize("family", FAMILIES)
def test_trained_weights_are_the_same_those_of_words_left_out_included(
    new_learner: NewLearner, family: str
) -> None:
    whole, cut, before = (new_learner(family) for _ in range(3))
    train(whole)
    with cut_to(cut, ids_of(cut, READ)):
        rows = len(word_table(cut))
        train(cut)
    assert rows < 0.5 * len(word_table(cut))
    unread = np.setdiff1d(np.arange(len(word_table(cut))), ids_of(cut, READ))[-1]
    decayed = word_table(whole)[unread] / word_table(before)[unread]
    torch.testing.assert_close(decayed, torch.full_like(decayed, (1 - 1e-2 * 0.3) ** 4))
    for (name, expected), (_, found) in zip(whole.trainable(), cut.trainable(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12, msg=name)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_words_have_the_same_logits_inside_and_after(
    new_learner: NewLearner, family: str
) -> None:
    learner = new_learner(family)
    expected = learner.logits(inputs_of(learner, READ))
    with cut_to(learner, ids_of(learner, READ)):
        torch.testing.assert_close(learner.logits(inputs_of(learner, READ)), expected)
    assert torch.equal(learner.logits(inputs_of(learner, READ)), expected)


def test_a_word_that_was_left_out_is_never_read_as_another(
    new_learner: NewLearner, texts: list[str]
) -> None:
    learner, host = new_learner(), torch.device("cpu")
    inputs = inputs_of(learner, texts)
    assert learner.on_device(inputs, host).keys() == inputs.keys()
    with cut_to(learner, ids_of(learner, READ)):
        learner.on_device(inputs_of(learner, READ), host)
        with pytest.raises(DistillError, match="no word for the token id"):
            learner.on_device(inputs, host)
    learner.on_device(inputs, host)


@pytest.mark.parametrize("stray", [-1, 10**6])
def test_an_id_outside_the_table_never_reaches_the_device(
    new_learner: NewLearner, stray: int
) -> None:
    learner = new_learner()
    inputs = inputs_of(learner, READ)
    inputs["input_ids"][0, 0] = stray
    # "meta" stands for a device on which nothing can be looked at.
    with pytest.raises(DistillError, match=str(stray)):
        learner.on_device(inputs, torch.device("meta"))


def test_a_table_that_would_hardly_shrink_stays_whole(new_learner: NewLearner) -> None:
    learner = new_learner()
    rows = len(word_table(learner))
    with cut_to(learner, np.arange(int(0.9 * rows))):
        assert len(word_table(learner)) == rows


def test_a_table_that_does_not_train_stays_whole(new_learner: NewLearner) -> None:
    learner = new_learner()
    learner.module.get_input_embeddings().weight.requires_grad_(False)  # type: ignore[operator]
    rows = len(word_table(learner))
    with cut_to(learner, ids_of(learner, READ)):
        assert len(word_table(learner)) == rows


def gpt2() -> Learner:
    """It finds its last token by comparing ids with that of padding."""
    from transformers import GPT2Config, GPT2ForSequenceClassification

    torch.manual_seed(1)
    config = GPT2Config(
        vocab_size=60, n_positions=16, n_embd=16, n_layer=1, n_head=2, pad_token_id=50,
        bos_token_id=None, eos_token_id=None, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0,
    )  # fmt: skip
    return Learner("gpt2", GPT2ForSequenceClassification(config), None)  # type: ignore[arg-type]


def test_a_model_that_looks_at_the_ids_themselves_sees_the_true_ones() -> None:
    learner, ids = gpt2(), torch.tensor([[3, 9, 21, 50, 50], [7, 3, 9, 9, 21]])
    inputs = {"input_ids": ids, "attention_mask": (ids != 50).long()}
    expected = learner.logits(inputs)
    with cut_to(learner, np.unique(ids.numpy())):
        assert len(word_table(learner)) < 60
        torch.testing.assert_close(learner.logits(inputs), expected)


def test_a_table_that_serves_another_part_too_stays_whole() -> None:
    learner = gpt2()
    table = learner.module.get_input_embeddings()  # type: ignore[operator]
    learner.module.output = torch.nn.Linear(16, 60, bias=False)
    learner.module.output.weight = table.weight
    with cut_to(learner, np.array([3, 9])):
        assert len(word_table(learner)) == 60


def test_a_failed_stage_leaves_the_table_whole(new_learner: NewLearner) -> None:
    learner = new_learner()
    before = word_table(learner).clone()
    with pytest.raises(RuntimeError), cut_to(learner, ids_of(learner, READ)):
        raise RuntimeError
    assert torch.equal(word_table(learner), before)
