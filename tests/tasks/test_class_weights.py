"""Balanced class weights: rare labels count as much as frequent ones, by plain arithmetic."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from support.tiny import Bench, run
from support.training import job_of

from distill_runner.errors import Refused
from distill_runner.tasks.classification import Classification
from distill_runner.tasks.multi_label import MultiLabel

BALANCED = "training.class_weights=balanced"


def test_each_class_weighs_as_much_in_the_loss_of_all_rows() -> None:
    labels = np.array([0] * 8 + [1] * 2)
    logits = torch.randn(10, 2, generator=torch.Generator().manual_seed(1))
    task = Classification().balance(labels, 2)
    each = [
        math.log(sum(math.exp(one) for one in row)) - row[label]
        for row, label in zip(logits.tolist(), labels.tolist(), strict=True)
    ]
    expected = (sum(each[:8]) / 8 + sum(each[8:]) / 2) / 2
    assert task.hard_loss(logits, torch.from_numpy(labels)).item() == pytest.approx(expected)


def test_a_label_that_is_rarely_present_weighs_as_much_as_its_absence() -> None:
    labels = np.array([[1.0, 0], [0, 0], [0, 1], [0, 1]], dtype=np.float32)
    logits = torch.randn(4, 2, generator=torch.Generator().manual_seed(1))
    task = MultiLabel().balance(labels, 2)
    total = 0.0
    for column in range(2):
        halves: dict[bool, list[float]] = {True: [], False: []}
        for row in range(4):
            present = labels[row, column] > 0
            value = logits[row, column].item() * (1 if present else -1)
            halves[bool(present)].append(math.log(1 + math.exp(-value)))
        total += sum(sum(half) / len(half) for half in halves.values()) / 2 / 2
    found = task.hard_loss(logits, torch.from_numpy(labels)).item()
    assert found == pytest.approx(total, rel=1e-5)


def test_a_stage_weighs_the_labels_of_its_own_rows(store: Path, tmp_path: Path) -> None:
    made = job_of(Bench.make(store, "kd", (BALANCED,)), tmp_path / "job")
    assert isinstance(made.task, Classification)
    counts = np.bincount(made.rows.labels)
    assert made.task.class_weights == pytest.approx(len(made.rows.labels) / (2 * counts))


def test_a_run_says_that_its_labels_are_weighted(store: Path, tmp_path: Path) -> None:
    run(tmp_path, store, "kd", BALANCED)
    formula = json.loads((tmp_path / "result.json").read_text())["formula"]
    assert "CE weighted by 1 over the share of each class" in formula


@pytest.mark.parametrize("method", ["noisy_student"])
def test_a_method_that_balances_itself_refuses_them(
    method: str, store: Path, tmp_path: Path
) -> None:
    with pytest.raises(Refused, match=r"method\.balance") as refused:
        run(tmp_path, store, method, BALANCED)
    assert refused.value.key == "training.class_weights"
