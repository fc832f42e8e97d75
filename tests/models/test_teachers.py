"""A teacher is a source of logits, and a method cannot tell a live one from a stored one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from support.learners import NewLearner
from torch import Tensor

from distill_runner.config.schema import Combine
from distill_runner.data.encoding import Inputs
from distill_runner.errors import DistillError
from distill_runner.models import stored_logits
from distill_runner.models.learner import Learner
from distill_runner.models.teachers import CachedTeachers, LiveTeachers, NoTeachers
from distill_runner.objectives import ensemble
from distill_runner.objectives.ensemble import Ensemble
from distill_runner.tasks.classification import Classification

CPU = torch.device("cpu")
WEIGHTS = torch.tensor([0.25, 0.75])
MEAN = Ensemble(Combine.logit_mean, (0.25, 0.75))


def inputs_of(learner: Learner, texts: list[str]) -> Inputs:
    columns = learner.encoder.tokenize(texts)
    return learner.encoder.pad({"input_ids": columns["input_ids"]})  # type: ignore[dict-item]


def nothing() -> list[Inputs]:
    raise AssertionError("a stored teacher read the text")


@pytest.fixture
def pair(new_learner: NewLearner) -> list[Learner]:
    """Two teachers with different tokenizers, and dropout that must not be on."""
    return [
        new_learner(family, seed=seed, classes=3, dropout=0.4, dtype=torch.float32)
        for seed, family in enumerate(["bert", "roberta"])
    ]


@pytest.fixture
def stored(pair: list[Learner], texts: list[str], tmp_path: Path) -> CachedTeachers:
    """The two teachers' logits on all texts, each predicted alone, stored in another order."""
    kept = []
    for learner in pair:
        with learner.evaluating(), torch.no_grad():
            logits = np.concatenate(
                [learner.logits(inputs_of(learner, [text])).numpy() for text in texts]
            )
        order = np.random.default_rng(len(kept)).permutation(len(texts))
        ids = [f"row {at}" for at in order]
        kept.append(stored_logits.save(tmp_path / learner.name, ids, logits[order]))
    return CachedTeachers([one.name for one in pair], kept, MEAN, CPU)


@pytest.mark.parametrize("rows", [[0, 1, 2], [7, 2, 5, 0], [3], [6, 5, 4, 3, 2, 1, 0]])
def test_stored_logits_equal_the_live_ones_joined_by_id(
    pair: list[Learner], stored: CachedTeachers, texts: list[str], rows: list[int]
) -> None:
    live = LiveTeachers(pair, MEAN, CPU)
    asked = [texts[row] for row in rows]
    ids = [f"row {row}" for row in rows]
    found = live.logits(ids, lambda: [inputs_of(learner, asked) for learner in pair])
    from_store = stored.logits(ids, nothing)
    assert from_store.shape == (2, len(rows), 3)
    torch.testing.assert_close(from_store, found, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(stored.join(from_store, 2.0), live.join(found, 2.0))


def test_a_row_that_is_not_stored_is_an_error(stored: CachedTeachers) -> None:
    with pytest.raises(DistillError, match="id 'row 99'"):
        stored.logits(["row 1", "row 99"], nothing)


@pytest.mark.parametrize("combine", list(Combine))
def test_logits_are_joined_as_configured(stored: CachedTeachers, combine: Combine) -> None:
    source = LiveTeachers([], Ensemble(combine, tuple(WEIGHTS.tolist())), CPU)
    found = stored.logits(["row 4", "row 2"], nothing)
    expected = (
        ensemble.prob_mean(found, WEIGHTS, 3.0)
        if combine is Combine.prob_mean
        else ensemble.logit_mean(found, WEIGHTS)
    )
    assert torch.equal(source.join(found, 3.0), expected)


def test_live_teachers_have_dropout_off_and_answer_alike_twice(
    pair: list[Learner], texts: list[str]
) -> None:
    source = LiveTeachers(pair, MEAN, CPU, trained=[0, 1])
    first, second = (
        source.logits([], lambda: [inputs_of(one, texts) for one in pair]) for _ in range(2)
    )
    assert torch.equal(first, second)


def test_frozen_teachers_get_no_gradient_and_trained_ones_do(
    pair: list[Learner], texts: list[str]
) -> None:
    source = LiveTeachers(pair, MEAN, CPU, trained=[1])
    found = source.logits([], lambda: [inputs_of(one, texts) for one in pair])
    source.join(found, 2.0)[:, 0].sum().backward()
    assert pair[0].trainable() == []
    assert all(weight.grad is None for weight in pair[0].module.parameters())
    assert any(weight.grad is not None for _, weight in pair[1].trainable())


def test_frozen_teachers_logits_carry_no_graph(pair: list[Learner], texts: list[str]) -> None:
    source = LiveTeachers(pair, MEAN, CPU)
    found = source.logits([], lambda: [inputs_of(one, texts) for one in pair])
    assert not found.requires_grad


def test_a_method_without_teachers_cannot_ask_for_logits() -> None:
    assert NoTeachers().take_score() == {}
    with pytest.raises(RuntimeError, match="declares no teachers"):
        NoTeachers().logits(["row 1"], nothing)


# --- the score inside the loop -----------------------------------------------------------


def counting() -> tuple[CachedTeachers, Tensor, Tensor]:
    source = CachedTeachers(["sure", "wrong"], [], MEAN, CPU)
    labels = torch.tensor([0, 1, 1])
    right = torch.eye(2)[labels]
    return source, torch.stack([right, 1 - right]), labels


def test_a_teachers_score_is_its_share_of_right_rows_since_it_was_last_taken() -> None:
    source, found, labels = counting()
    source.count(Classification(), found, labels)
    source.count(Classification(), found[:, :1], torch.tensor([1]))
    assert source.take_score() == {"sure": 0.75, "wrong": 0.25}
    assert source.take_score() == {}
    source.count(Classification(), found, labels)
    assert source.take_score() == {"sure": 1.0, "wrong": 0.0}


def test_a_running_score_resumes_from_a_checkpoint() -> None:
    source, found, labels = counting()
    source.count(Classification(), found, labels)
    resumed, _, _ = counting()
    resumed.load_score_state(source.score_state())
    resumed.count(Classification(), found[:, :1], torch.tensor([1]))
    assert resumed.take_score() == {"sure": 0.75, "wrong": 0.25}
    assert source.take_score() == {"sure": 1.0, "wrong": 0.0}
