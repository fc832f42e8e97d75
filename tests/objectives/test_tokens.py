"""Losses on tokens against plain arithmetic, number by number."""

from __future__ import annotations

import math

import pytest
import torch

from distill_runner.objectives.tokens import cosine_distance, masked_word_loss, token_kl


def test_the_cosine_distance_is_the_mean_over_tokens() -> None:
    ours = torch.randn(7, 5, dtype=torch.float64)
    theirs = torch.randn(7, 5, dtype=torch.float64)
    total = 0.0
    for one, other in zip(ours.tolist(), theirs.tolist(), strict=True):
        product = sum(a * b for a, b in zip(one, other, strict=True))
        norms = [math.sqrt(sum(a * a for a in each)) for each in (one, other)]
        total += 1 - product / norms[0] / norms[1]
    assert float(cosine_distance(ours, theirs)) == pytest.approx(total / 7, abs=1e-12)
    assert float(cosine_distance(ours, 3 * ours)) == pytest.approx(0, abs=1e-12)


def test_a_batch_in_which_no_token_counts_costs_nothing() -> None:
    none = torch.zeros(0, 9, requires_grad=True)
    for loss in (token_kl(none, none, 2.0), masked_word_loss(none, torch.zeros(0).long())):
        assert float(loss.detach()) == 0
        loss.backward()
