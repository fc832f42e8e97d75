"""KD's update against plain arithmetic, from the teachers' own logits (Hinton et al. 2015)."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from support.learners import without_dropout
from support.tiny import Bench
from support.training import job_of, under_sure_teachers

from distill_runner.training import loop

TEMPERATURE, ALPHA = 3.0, 0.7


def softened(row: list[float], temperature: float) -> list[float]:
    total = sum(math.exp(value / temperature) for value in row)
    return [math.exp(value / temperature) / total for value in row]


@pytest.mark.parametrize("combine", ["logit_mean", "prob_mean"])
def test_a_step_takes_its_soft_targets_from_the_joined_teachers(
    combine: str, store: Path, tmp_path: Path
) -> None:
    asked = (
        *("teacher=bert+roberta", "teacher.weights=[0.7,0.3]", f"teacher.combine={combine}"),
        *(f"method.temperature={TEMPERATURE}", f"method.alpha={ALPHA}"),
    )
    made = job_of(Bench.make(store, "kd", asked), tmp_path / "job")
    without_dropout(made.student)
    batch = under_sure_teachers(loop.Loop(made).batches.make(0, 0, 0, np.arange(6)))
    (update,) = made.algorithm.updates(batch)
    logits = batch.teacher_logits()
    hard = soft = 0.0
    for own, one, two, label in zip(
        batch.student_logits().tolist(), *logits.tolist(), batch.labels.tolist(), strict=True
    ):
        if combine == "prob_mean":
            each = softened(one, TEMPERATURE), softened(two, TEMPERATURE)
            targets = [0.7 * a + 0.3 * b for a, b in zip(*each, strict=True)]
        else:
            joined = [0.7 * a + 0.3 * b for a, b in zip(one, two, strict=True)]
            targets = softened(joined, TEMPERATURE)
        found = softened(own, TEMPERATURE)
        soft += sum(t * math.log(t / s) for t, s in zip(targets, found, strict=True)) / 6
        hard -= math.log(softened(own, 1.0)[label]) / 6
    expected = (1 - ALPHA) * hard + ALPHA * TEMPERATURE**2 * soft
    assert update.loss.item() == pytest.approx(expected, rel=1e-4)
