"""A result that is damaged, or of another version, is refused; in a sweep it is reported."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.results import a_result

from distill_runner.errors import DistillError
from distill_runner.report.causes import cause_lines
from distill_runner.report.sweeps import job_rows
from distill_runner.results.files import Attempt, read_job, read_result
from distill_runner.results.typed_json import to_json


def written(folder: Path, change: Callable[[dict[str, Any]], object] = lambda _: None) -> Path:
    """A run's folder, its result changed after it was written."""
    folder.mkdir(exist_ok=True)
    value = to_json(a_result())
    change(value)
    (folder / "result.json").write_text(json.dumps(value), encoding="utf-8")
    attempt = Attempt(status="finished", overrides=("profile=tiny",), seconds=1.0)
    (folder / "attempt.json").write_text(json.dumps(to_json(attempt)), encoding="utf-8")
    return folder


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    assert read_result(written(tmp_path)) == a_result()
    job = read_job(tmp_path)
    assert (job.result, job.attempt.seconds) == (a_result(), 1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda found: found.pop("seed"), "seed: missing"),
        (lambda found: found.update(accuracy=0.9), "accuracy: unknown key"),
        (
            lambda found: found["metrics"]["test"].update(n="100"),
            "metrics.test.n: expected a whole",
        ),
        (lambda found: found.pop("schema_version"), "its schema_version is missing, and this"),
        (
            lambda found: found.update(schema_version=99),
            "its schema_version is 99, and this version reads",
        ),
    ],
)
def test_a_result_that_does_not_fit_is_refused_by_the_key_that_is_wrong(
    change: Callable[[dict[str, Any]], object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DistillError) as caught:
        read_result(written(tmp_path, change))
    assert message in str(caught.value)
    assert str(tmp_path / "result.json") in str(caught.value)


def test_a_file_in_place_of_a_run_folder_holds_no_result(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("not a folder")
    with pytest.raises(DistillError, match="name the folder of a finished run"):
        read_result(tmp_path / "run")


def test_a_figure_that_was_changed_afterwards_is_refused_by_its_digest(tmp_path: Path) -> None:
    written(tmp_path)
    entry = {"size": 1, "sha256": "0" * 64}
    files = {"program": "distill-run", "files": {"result.json": entry}}
    (tmp_path / "files.json").write_text(json.dumps(files))
    with pytest.raises(DistillError, match="SHA-256"):
        read_result(tmp_path)


def test_a_sweep_continues_past_a_damaged_job_and_reports_it(tmp_path: Path) -> None:
    jobs = [read_job(written(tmp_path / "0"))]
    (written(tmp_path / "1") / "result.json").write_text('{"schema_version": 2')
    (written(tmp_path / "2") / "attempt.json").write_bytes(b"\xff")
    (written(tmp_path / "3") / "attempt.json").write_text("[" * 100_000)
    jobs += [read_job(tmp_path / name) for name in "123"]
    assert [row["validation"] for row in job_rows(jobs)] == ["★ 80.00", *["damaged"] * 3]
    first, second, _ = cause_lines(jobs)
    assert first.startswith(f"Damaged: job 1: {tmp_path}/1/result.json is damaged: not JSON")
    assert "attempt.json is damaged" in second
