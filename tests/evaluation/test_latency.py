"""Latency is measured in turns, summarised by the median, and reported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.tiny import run

from distill_runner.errors import Refused
from distill_runner.evaluation import latency
from distill_runner.runtime.machine import Machine

CPU = Machine(torch.device("cpu"), bf16=False)


def test_models_take_turns_and_the_first_turn_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, calls = 0.0, []

    def predict(learner: Any, _view: Any, *, rows: np.ndarray, **_: Any) -> None:
        nonlocal now
        calls.append(learner)
        # The first call of all is slow; the student takes 2 ms a row, each teacher 5.
        now += 9.0 if len(calls) == 1 else len(rows) * {"student": 0.002}.get(learner, 0.005)

    monkeypatch.setattr("distill_runner.evaluation.latency.time.perf_counter", lambda: now)
    monkeypatch.setattr("distill_runner.evaluation.latency.predict", predict)
    models: Any = {"teachers": [("a", None), ("b", None)], "student": [("student", None)]}
    found = latency.measure(models, 7, CPU)
    assert calls[:6] == ["a", "b", "student", "a", "b", "student"]
    assert found["teachers"].milliseconds == pytest.approx(10)
    assert found["student"].milliseconds == pytest.approx(2)
    assert found["teachers"].texts_per_second == pytest.approx(100)
    assert found["student"].texts_per_second == pytest.approx(500)


def test_a_run_says_what_its_student_saves_and_keeps(tmp_path: Path) -> None:
    asked = ("teacher=bert+roberta", "student=distilbert", "evaluation.latency=true")
    run(tmp_path / "run", tmp_path / "store", "kd", *asked)
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    found = result["latency"]
    assert list(found["models"]) == ["teacher bert-base-uncased", "teacher roberta-base", "student"]
    ours, theirs = found["models"]["student"], found["models"]["teacher bert-base-uncased"]
    assert ours["parameters"] == result["student"]["parameters"]
    beside = found["against"]
    assert beside["times_as_fast"] == pytest.approx(theirs["milliseconds"] / ours["milliseconds"])
    assert beside["less_time"] == pytest.approx(1 - 1 / beside["times_as_fast"])
    assert beside["fewer_parameters"] == pytest.approx(
        1 - ours["parameters"] / theirs["parameters"]
    )
    teacher = result["teachers"][0]["metrics"]["test"]["accuracy"]
    kept = result["metrics"]["test"]["accuracy"] / teacher
    assert beside["kept"] == pytest.approx(kept)
    log = (tmp_path / "run" / "log.txt").read_text()
    line = f"{100 * kept:.1f}% of the teacher's accuracy on test"
    assert line in log
    assert "ms a text" in log
    assert line in (tmp_path / "run" / "student" / "README.md").read_text()


def test_without_test_rows_there_is_nothing_to_time(tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        run(
            tmp_path / "run",
            tmp_path / "store",
            "kd",
            "evaluation.latency=true",
            "dataset.split.test=0",
        )
    assert refused.value.key == "evaluation.latency"
