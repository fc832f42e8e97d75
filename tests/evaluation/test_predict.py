"""Scores by hand, and predictions in the order of the rows."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from support.learners import FAMILIES, NewLearner

from distill_runner.data.encoding import encode
from distill_runner.evaluation.predict import predict
from distill_runner.results.typed_json import to_json
from distill_runner.tasks.classification import Classification

# Rows: true class, predicted class.
ANSWERS = [(0, 0), (0, 0), (0, 1), (1, 1), (1, 1), (1, 0), (2, 1), (2, 2)]


def logits_for(predictions: list[int], classes: int) -> np.ndarray:
    return np.eye(classes, dtype=np.float32)[predictions]


def test_accuracy_and_macro_f1_are_those_counted_by_hand() -> None:
    labels, predictions = (list(part) for part in zip(*ANSWERS, strict=True))
    found = Classification().score_answers(logits_for(predictions, 3), np.array(labels))
    # Right/predicted/true: 2/3/3, 2/4/3, 1/1/2.
    assert (found["accuracy"], found.n) == (5 / 8, 8)
    assert found["macro_f1"] == pytest.approx((4 / 6 + 4 / 7 + 2 / 3) / 3)


def test_the_interval_is_wilsons() -> None:
    labels, predictions = (list(part) for part in zip(*ANSWERS, strict=True))
    found = Classification().score_answers(logits_for(predictions, 3), np.array(labels))
    z, n, share = 1.959964, 8, 5 / 8
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    assert (found.low, found.high) == pytest.approx((middle - reach, middle + reach))


def test_a_model_that_always_says_one_class_has_half_of_the_f1() -> None:
    found = Classification().score_answers(logits_for([1] * 10, 2), np.array([1] * 8 + [0] * 2))
    assert found["accuracy"] == 0.8
    assert found["macro_f1"] == pytest.approx((2 * 8 / 18) / 2)


def test_a_class_that_neither_occurs_nor_is_predicted_does_not_count() -> None:
    found = Classification().score_answers(logits_for([0, 1], 4), np.array([0, 1]))
    assert (found["accuracy"], found["macro_f1"]) == (1.0, 1.0)


def test_a_score_is_plain_numbers() -> None:
    found = to_json(Classification().score_answers(logits_for([0, 1], 2), np.array([0, 1])))
    assert found["macro_f1"] == 1.0
    assert {type(value) for value in found.values()} == {int, float, str, type(None)}


@pytest.mark.parametrize("family", FAMILIES)
def test_predictions_are_each_rows_own_in_the_order_of_the_rows(
    new_learner: NewLearner, texts: list[str], tmp_path: Path, family: str
) -> None:
    learner = new_learner(family, classes=3, dropout=0.5, dtype=torch.float32)
    many = [f"{texts[at % 8]} {texts[at % 5]}" for at in range(150)]
    table = Dataset.from_dict({"id": [str(at) for at in range(150)], "text": many})
    view = encode(table, learner.encoder, fingerprint="many", store=tmp_path)
    found = predict(learner, view, device=torch.device("cpu"), bf16=False)
    assert found.shape == (150, 3)
    with learner.evaluating(), torch.no_grad():
        for row in (0, 1, 77, 149):
            alone = learner.logits(view.inputs(np.array([row])))[0].numpy()
            assert found[row] == pytest.approx(alone, abs=1e-5)
    assert learner.module.training


def test_bfloat16_predictions_come_back_as_float32_and_near(
    new_learner: NewLearner, texts: list[str], tmp_path: Path
) -> None:
    learner = new_learner(dtype=torch.float32)
    table = Dataset.from_dict({"id": [str(at) for at in range(8)], "text": texts})
    view = encode(table, learner.encoder, fingerprint="few", store=tmp_path)
    device = torch.device("cpu")
    full = predict(learner, view, device=device, bf16=False)
    mixed = predict(learner, view, device=device, bf16=True)
    assert mixed.dtype == np.float32
    assert np.abs(full - mixed).max() < 0.05 * np.abs(full).max()
