"""Checkpoints are written as often as they should be."""

from __future__ import annotations

import pytest

from distill_runner.training.checkpoint import Pace


@pytest.mark.parametrize(
    ("longest", "cost", "first", "then"),
    [
        (300.0, 0.1, 10.0, 10.0),  # cheap: a hundred times its cost
        (300.0, 1.0, 10.0, 100.0),
        (300.0, 8.0, 10.0, 300.0),  # dear: as far apart as they may be
        (2.0, 0.5, 2.0, 2.0),  # never further apart than asked for
    ],
)
def test_checkpoints_take_a_hundredth_of_the_time_or_come_when_they_must(
    longest: float, cost: float, first: float, then: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("distill_runner.training.checkpoint.time.monotonic", lambda: now)
    pace = Pace(longest)
    for wait in (first, then):
        now += wait - 0.01
        assert not pace.is_due()
        now += 0.02
        assert pace.is_due()
        with pace.measured():
            now += cost
