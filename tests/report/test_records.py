"""What is committed as evidence holds figures, and nothing of the machine or the texts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from distill_runner.errors import DistillError
from distill_runner.report.records import record, write_table


def finished(run: Path) -> Path:
    score = {"accuracy": 0.9, "low": 0.88, "high": 0.92, "n": 1000}
    gain = {"accuracy": 0.01, "low": -0.01, "high": 0.03}
    result = {
        "status": "finished",
        "overrides": ["method=kd", "store.dir=/home/someone/store", "paths.models=/data/models"],
        "metrics": {"test": score},
        "student": {"model": "/home/someone/models/small"},
        "teachers": [{"model": "bert-base-uncased"}],
        "baseline": {"metrics": {"test": score}, "gain": {"test": gain}},
        "training": {"examples_per_second": 12.3, "device": "cpu", "precision": "float32"},
    }
    (run / "predictions").mkdir(parents=True)
    (run / "predictions" / "test.csv").write_text("id,label\n")
    (run / "student").mkdir()
    (run / "student" / "model.safetensors").write_bytes(b"weights")
    (run / "result.json").write_text(json.dumps(result))
    return run


def test_a_record_leaves_out_weights_and_paths(tmp_path: Path) -> None:
    record(finished(tmp_path / "run"), tmp_path / "record")
    kept = {path.name for path in (tmp_path / "record").rglob("*") if path.is_file()}
    assert kept == {"result.json", "test.csv"}
    assert "someone" not in (tmp_path / "record" / "result.json").read_text()


def test_the_table_has_a_row_for_each_record(tmp_path: Path) -> None:
    record(finished(tmp_path / "run"), tmp_path / "records" / "run")
    write_table(tmp_path / "records")
    row = (tmp_path / "records" / "README.md").read_text().splitlines()[-1]
    assert "90.00 | 88.0–92.0" in row
    assert "+1.00 [-1.00, +3.00]" in row


def test_runs_that_differ_in_the_seed_have_a_table_over_seeds(tmp_path: Path) -> None:
    for seed in (1, 2):
        run = finished(tmp_path / f"run-{seed}")
        found = json.loads((run / "result.json").read_text())
        found["overrides"] = ["method=kd", f"seed={seed}"]
        found["metrics"]["test"]["accuracy"] = 0.88 + seed / 100
        (run / "result.json").write_text(json.dumps(found))
        record(run, tmp_path / "records" / run.name)
    write_table(tmp_path / "records")
    table = (tmp_path / "records" / "README.md").read_text()
    assert table.startswith("Every run: `method=kd`")
    assert "`seed=2`" in table
    # Two figures, 89 and 90: 12.706 standard errors of 0.5 on each side of their mean.
    assert "| all seeds | 2 | – | 89.50 | -0.50 | -6.85..5.85 | 83.15..95.85 |" in table


def test_a_run_that_did_not_finish_is_no_evidence(tmp_path: Path) -> None:
    run = finished(tmp_path / "run")
    (run / "result.json").write_text(json.dumps({"status": "failed"}))
    with pytest.raises(DistillError, match="did not finish"):
        record(run, tmp_path / "record")
