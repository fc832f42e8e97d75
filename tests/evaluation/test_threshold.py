"""The decision threshold: the best on validation, and the same decisions from shifted logits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.tiny import run

from distill_runner.config.schema import Metric
from distill_runner.errors import Refused
from distill_runner.evaluation.metrics.classes import class_metric
from distill_runner.evaluation.metrics.threshold import METRICS, best_threshold, shift_logits


@pytest.mark.parametrize("metric", METRICS)
def test_no_other_threshold_is_better(metric: Metric) -> None:
    generator = np.random.default_rng(1)
    labels = (generator.random(300) < 0.1).astype(np.int64)
    probabilities = np.clip(0.2 * labels + 0.5 * generator.random(300), 0, 1).round(2)
    found = best_threshold(probabilities, labels, metric)
    scores = {
        cut: class_metric(metric, (probabilities >= cut).astype(np.int64), labels, 2)
        for cut in (found, *np.linspace(0, 1.01, 203))
    }
    assert scores[found] == pytest.approx(max(scores.values()))


def test_among_equals_the_nearest_to_a_half_is_taken() -> None:
    probabilities, labels = np.array([0.1, 0.2, 0.9, 0.95]), np.array([0, 0, 1, 1])
    assert best_threshold(probabilities, labels, Metric.f1) == pytest.approx(0.55)


def test_shifted_logits_decide_as_the_threshold_does() -> None:
    logits = np.random.default_rng(1).normal(size=(200, 2))
    probabilities = 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))
    decided = shift_logits(logits, 0.3).argmax(-1)
    assert (decided == (probabilities >= 0.3)).all()
    assert shift_logits(logits, 0.0).argmax(-1).all()
    assert not shift_logits(logits, 1.0).argmax(-1).any()


def test_a_run_reports_what_the_threshold_changes_on_test(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, store, "kd", "evaluation.threshold=true", "dataset.metrics=[macro_f1]")
    found = json.loads((tmp_path / "result.json").read_text())["threshold"]
    assert found["metric"] == "macro_f1"
    assert found["splits"]["validation"]["after"] >= found["splits"]["validation"]["before"]
    assert "Decision threshold, fitted on validation for macro_f1" in capsys.readouterr().out
    assert "Decision threshold" in (tmp_path / "student" / "README.md").read_text()


def test_it_needs_validation_rows(store: Path, tmp_path: Path) -> None:
    asked = ("evaluation.threshold=true", "dataset.split.validation=0", "teacher.near_chance=allow")
    with pytest.raises(Refused, match=r"evaluation\.threshold") as refused:
        run(tmp_path, store, "kd", *asked)
    assert "validation rows" in str(refused.value)
