"""Progress of rows goes to standard error: now and then a line, or one line that changes."""

from __future__ import annotations

import pytest

from distill_runner.console import row_progress
from distill_runner.console.row_progress import RowProgress


def test_lines_say_how_far_it_is_and_how_fast(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = iter(range(0, 1000, 20))
    monkeypatch.setattr(row_progress.time, "monotonic", lambda: float(next(now)))
    with RowProgress("predicting") as progress:
        for done in (1000, 3000, 5000):
            progress.show(done, 5000)
    captured = capsys.readouterr()
    assert captured.out == ""
    first, second = captured.err.splitlines()
    assert first == "predicting: 3,000 of 5,000 rows, 100 rows/s, 20 s left"
    assert second == "predicting: 5,000 of 5,000 rows, 100 rows/s"


def test_a_terminal_is_left_clean(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with RowProgress("predicting") as progress:
        progress.show(0, None)
    err = capsys.readouterr().err
    assert "predicting: 0 rows" in err
    assert err.endswith("\r\x1b[K")
