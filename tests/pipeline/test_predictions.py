"""The teachers together: joined in the tables as in the stage that they teach."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.tiny import Bench

TWO = ("teacher=bert+roberta",)
UNEQUAL = (*TWO, "teacher.weights=[0.9,0.1]")


def softmax(logits: np.ndarray) -> np.ndarray:
    shares: np.ndarray = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    return shares


@pytest.mark.parametrize(
    ("method", "asked", "expected"),
    [
        ("kd", UNEQUAL, "0.9 of the logits"),
        ("kd", (*UNEQUAL, "teacher.combine=prob_mean"), "0.9 of the probabilities"),
        # The student of a chain is taught by the hop before it, the first hop by the teachers.
        ("born_again", (*UNEQUAL, "method.generations=2"), "0.9 of the logits"),
        ("one_avg_on_one", UNEQUAL, "0.9 of the logits"),
        ("mkd", TWO, "0.5 of the probabilities"),
        ("many_on_many", TWO, "0.5 of the probabilities"),
        ("tkd", TWO, "0.5 of the probabilities"),
    ],
)
def test_teachers_together_are_joined_as_where_they_teach(
    method: str, asked: tuple[str, ...], expected: str, store: Path
) -> None:
    bench = Bench.make(store, method, (*asked, "method.baseline=never"))
    outcome = bench.runner.run()
    answers = bench.runner.predictions(outcome)
    one, two = (answers.logits(name, "test").astype(float) for name in outcome.plan.teachers)
    assert np.abs(one - two).max() > 1e-3  # a hundred times what is told apart below
    share, _, kind = expected.partition(" of the ")
    first = float(share)
    if kind == "logits":
        found, by_hand = answers.joined_teachers("test"), first * one + (1 - first) * two
    else:
        found = softmax(answers.joined_teachers("test").astype(float))
        by_hand = first * softmax(one) + (1 - first) * softmax(two)
    np.testing.assert_allclose(found, by_hand, atol=1e-5)
