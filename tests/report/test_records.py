"""What is committed as evidence holds figures, and nothing of the machine or the texts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.results import a_baseline, a_gain, a_result, a_score, a_student, a_teacher

from distill_runner.errors import DistillError
from distill_runner.report.records import record, write_table
from distill_runner.results.typed_json import to_json


def finished(run: Path, *overrides: str, accuracy: float = 0.9) -> Path:
    score = a_score(accuracy, reach=0.02)
    result = a_result(
        key=run.name,
        overrides=overrides or ("method=kd", "store.dir=/home/someone/store", "paths.models=/m"),
        metrics={"test": score},
        student=a_student(model="/home/someone/models/small"),
        teachers=(a_teacher("bert-base-uncased"),),
        baseline=a_baseline(
            {"test": a_score(0.9)},
            gain={"test": a_gain(0.01, reach=0.02)},
        ),
    )
    (run / "predictions").mkdir(parents=True)
    (run / "predictions" / "test.csv").write_text("id,label\n")
    (run / "student").mkdir()
    (run / "student" / "model.safetensors").write_bytes(b"weights")
    (run / "result.json").write_text(json.dumps(to_json(result)))
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
        asked = ("method=kd", f"seed={seed}")
        run = finished(tmp_path / f"run-{seed}", *asked, accuracy=0.88 + seed / 100)
        record(run, tmp_path / "records" / run.name)
    write_table(tmp_path / "records")
    table = (tmp_path / "records" / "README.md").read_text()
    assert table.startswith("Every run: `method=kd`")
    assert "`seed=2`" in table
    # Two figures, 89 and 90: 12.706 standard errors of 0.5 on each side of their mean.
    assert "| all seeds | 2 | – | 89.50 | -0.50 | -6.85..5.85 | 83.15..95.85 |" in table


def test_a_folder_without_a_finished_run_is_no_evidence(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(DistillError, match="name the folder of a finished run"):
        record(tmp_path / "run", tmp_path / "record")
