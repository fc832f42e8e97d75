"""What is committed as evidence holds figures, and nothing of the machine or the texts."""

from __future__ import annotations

import hashlib
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
    first, second = result.data.classes
    head = f"id,cluster,label,predicted,logit_{first},logit_{second}"
    rows = [f"row-{at},{at},{first},{first},1,0" for at in range(4)]
    for name in ("test.csv", "train.csv", "baseline/test.csv"):
        path = run / "predictions" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([head, *rows]) + "\n")
    (run / "student").mkdir()
    (run / "student" / "model.safetensors").write_bytes(b"weights")
    (run / "result.json").write_text(json.dumps(to_json(result)))
    return run


def test_a_record_keeps_predictions_and_digests_and_leaves_out_weights_and_paths(
    tmp_path: Path,
) -> None:
    record(finished(tmp_path / "run"), tmp_path / "record")
    kept = {
        str(path.relative_to(tmp_path / "record")) for path in (tmp_path / "record").rglob("*.*")
    }
    predictions = {"predictions/test.csv.gz", "predictions/baseline/test.csv.gz"}
    assert kept == {"result.json", "weights.json", *predictions}
    assert "someone" not in (tmp_path / "record" / "result.json").read_text()
    digest = hashlib.sha256(b"weights").hexdigest()
    weights = json.loads((tmp_path / "record" / "weights.json").read_text())
    assert weights == {"model.safetensors": digest}


def test_a_record_names_a_file_by_what_it_holds(tmp_path: Path) -> None:
    asked = ("dataset.path=/home/someone/rows.csv", "seed=1", "store.dir=/home/someone/store")
    run = finished(tmp_path / "run", *asked)
    value = json.loads((run / "result.json").read_text())
    source = {"generated": 0, "path": asked[0].partition("=")[2], "hub": None, "revision": None}
    value["provenance"]["data"] = {"task": {**source, "files": {"rows.csv": "ab" * 32}}}
    (run / "result.json").write_text(json.dumps(value))
    digest = hashlib.sha256(("ab" * 32).encode()).hexdigest()[:12]
    found = record(run, tmp_path / "record")
    assert found.overrides == (f"dataset.path=sha256:{digest}", "seed=1")
    assert found.provenance.data["task"].path == "rows.csv"


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
    assert "| all seeds | 2 | – | 89.50 | -0.50 | – | – |" in table


def test_a_folder_without_a_finished_run_is_no_evidence(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(DistillError, match="name the folder of a finished run"):
        record(tmp_path / "run", tmp_path / "record")
