"""The end of a sweep: the best job on validation, the unfinished jobs, and the files."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support.results import AT_CHANCE, a_job, a_lost_job, a_result, a_score, a_student
from support.tiny import command

from distill_runner.report.causes import cause_lines, count_line
from distill_runner.report.choosing import choice_lines, validation_score
from distill_runner.report.seed_table import seed_lines, seed_rows
from distill_runner.report.sweep_records import sweep_records
from distill_runner.report.sweeps import differing_overrides, job_rows
from distill_runner.report.tables import fit_width, sweep_table
from distill_runner.results.schema import RunResult


def finished(validation: float, test: float, *overrides: str, **facts: Any) -> RunResult:
    return a_result(validation, test, overrides=("profile=tiny", *overrides), **facts)


LOST = a_student(no_better_than_chance=True, chance=AT_CHANCE)
JOBS = [
    a_job("0", finished(0.7, 0.9, "method.temperature=1")),
    a_lost_job("1", "refused", "seed is wrong.\n  seed = -1", "seed=-1"),
    a_job("2", finished(0.8, 0.75, "method.temperature=2")),
    a_lost_job("3", "failed", "ZeroDivisionError: division by zero\n  a fault", "seed=3"),
    a_lost_job("4", "refused", "seed is wrong.\n  seed = -2", "seed=-2"),
]


def test_jobs_are_sorted_by_validation_and_the_best_is_marked_by_it_not_by_test() -> None:
    rows = job_rows(JOBS)
    assert [row["job"][0] for row in rows] == ["2", "0", "1", "3", "4"]
    assert [row["validation"] for row in rows] == [
        "★ 80.00", "70.00", "refused", "failed", "refused",
    ]  # fmt: skip
    assert [row["test"] for row in rows] == ["75.00", "90.00", "–", "–", "–"]
    assert [row["gain"] for row in rows[:2]] == ["+25.00", "+40.00"]
    assert [row["gain (validation)"] for row in rows[:2]] == ["+30.00", "+20.00"]
    best, advice = choice_lines(JOBS, differing_overrides(JOBS))
    assert best == "★ Best by validation: job 2 (method.temperature=2), 80.00 (test 75.00)"
    assert advice == "Choose by validation. Test is for reporting the job that was chosen."


def test_a_job_whose_epoch_validation_chose_is_chosen_by_it_all_the_same() -> None:
    metrics = {"test": a_score(0.7), "selection_on_validation": a_score(0.9)}
    chosen = finished(0.0, 0.7, "seed=1", metrics=metrics)
    jobs = [a_job("0", chosen), a_job("1", finished(0.8, 0.9, "seed=2"))]
    assert validation_score(chosen) == 0.9
    lines = choice_lines(jobs, differing_overrides(jobs))
    assert "job 0" in lines[0]
    assert lines[-1] == "Validation has chosen the epoch too, so it is no result."


def test_each_data_set_has_a_best_job_of_its_own() -> None:
    jobs = [
        a_job(str(at), finished(value, 0.5, f"dataset={name}", dataset=name))
        for at, (name, value) in enumerate([("rte", 0.6), ("sst2", 0.9), ("rte", 0.7)])
    ]
    assert [row["job"][0] for row in job_rows(jobs)] == ["2", "0", "1"]
    lines = choice_lines(jobs, differing_overrides(jobs))
    assert [line.split(":")[0] for line in lines[:2]] == [
        "★ Best by validation on rte", "★ Best by validation on sst2",
    ]  # fmt: skip


def test_equal_jobs_and_a_best_one_at_chance_are_said() -> None:
    jobs = [a_job(str(at), finished(0.5, 0.5, f"seed={at}", student=LOST)) for at in range(3)]
    (line, *_) = choice_lines(jobs, differing_overrides(jobs))
    assert "as high on validation: jobs 1 and 2" in line
    assert line.endswith("it is no better than chance")


def test_jobs_with_the_same_cause_of_failure_are_reported_together() -> None:
    assert cause_lines(JOBS) == [
        "Refused: jobs 1 and 4: seed is wrong.",
        "Failed: job 3: ZeroDivisionError: division by zero",
    ]
    assert count_line(JOBS) == (
        "3 of 5 jobs did not finish (2 refused, 1 failed). The other 2 are kept."
    )
    assert count_line(JOBS[3:]).endswith("No job finished.")
    assert "broken off" in cause_lines([a_lost_job("0", "started", None)])[0].lower()


def test_the_best_setting_has_the_best_mean_on_validation_over_seeds() -> None:
    figures = {(1, 1): 0.9, (1, 2): 0.5, (2, 1): 0.8, (2, 2): 0.7}
    jobs = [
        a_job(
            str(at),
            finished(value, 0.6 + at / 100, f"method.temperature={t}", f"seed={seed}", key=str(at)),
        )
        for at, ((t, seed), value) in enumerate(figures.items())
    ]
    rows = seed_rows(jobs)
    assert [row["job"] for row in rows] == ["method.temperature=2", "method.temperature=1"]
    assert [row["mean validation"] for row in rows] == ["★ 75.00", "70.00"]
    assert [row["mean test"] for row in rows] == ["62.50", "60.50"]
    first, second, third = seed_lines(rows)
    assert first == "★ Best setting by mean validation: method.temperature=2, 75.00 over 2 seeds"
    assert second == "Below 3 seeds no interval holds its level, so none is given."
    assert third == "Intervals are over seeds and clusters of rows together."


def test_one_run_typed_twice_is_one_run_and_no_predictions_give_no_interval() -> None:
    results = [finished(0.7, 0.6, f"seed={at}", key=str(at)) for at in range(2)]
    jobs = [a_job(result.key, result) for result in results]
    (row,) = seed_rows(jobs)
    assert row["95% of the test"] == row["95% of the gain"] == "–"
    twice = [a_job(result.key, replace(result, key="one")) for result in results]
    assert seed_rows(twice) == []


def test_in_a_narrow_window_names_are_whole_and_what_is_alike_goes_first() -> None:
    jobs = [
        a_job(str(at), finished(0.5 + at / 10, 0.6, f"method.temperature={at}", "seed=1"))
        for at in range(3)
    ]
    rows, out = fit_width(job_rows(jobs), 74)
    console = Console(width=74, file=io.StringIO())
    console.print(sweep_table("", rows))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert all(f"{at}: method.temperature={at}" in shown for at in range(3))
    assert "gain (validation)" in rows[0]
    assert out == ("95% of the test", "no teacher", "parameters")


def test_the_name_of_a_setting_is_whole_at_eighty_columns() -> None:
    jobs = [
        a_job(
            str(at),
            finished(
                0.5 + at / 90,
                0.6 + at / 70,
                f"method.temperature={at % 2}",
                f"seed={at}",
                key=str(at),
                student=a_student() if at else LOST,
            ),
        )
        for at in range(4)
    ]
    rows, out = fit_width(seed_rows(jobs), 80)
    console = Console(width=80, file=io.StringIO())
    console.print(sweep_table("", rows))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "method.temperature=1" in shown
    assert "…" not in shown
    assert "95% of the test" in out


def test_the_records_hold_numbers_and_every_override() -> None:
    rows = sweep_records(JOBS, Path("sweep"))
    assert [row["job"] for row in rows] == [2, 0, 1, 3, 4]
    assert [row["best"] for row in rows] == [True, False, False, False, False]
    first, refused = rows[0], rows[2]
    assert list(first)[4:7] == ["method.temperature", "seed", "profile"]
    assert first["method.temperature"] == 2
    assert first["validation/accuracy"] == 0.8
    assert first["gain/test/accuracy"] == pytest.approx(0.25)
    assert (first["gain/test/accuracy_low"], first["gain/test/accuracy_high"]) == (-0.1, 0.1)
    assert (first["seconds"], first["cause"]) == (1.5, None)
    assert refused["cause"] == "seed is wrong."
    assert refused["test/accuracy"] is None
    assert all(list(row) == list(first) for row in rows)


def test_a_sweeps_files_name_the_best_job_its_student_and_who_was_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = tmp_path / "sweep"
    common = (f"store.dir={tmp_path}/store", f"output_dir={sweep}", "teacher=bert", "method=kd")
    assert command(monkeypatch, "-m", *common, "training.learning_rate=1e-3,7,1e-2") == 2
    printed = capsys.readouterr()
    assert "1 of 3 jobs did not finish (1 refused). The other 2 are kept." in printed.err
    told = printed.out[printed.out.index("3 jobs:") :]
    assert "Refused: job 1: training.learning_rate is out of range." in told
    rows = json.loads((sweep / "sweep.json").read_text())
    (best,) = [row for row in rows if row["best"]]
    assert best is rows[0]
    assert rows[0]["validation/accuracy"] >= rows[1]["validation/accuracy"]
    assert f"Its student: {sweep}/{best['job']}/student" in told
    assert Path(best["student_folder"], "model.safetensors").is_file()
    assert [row["status"] for row in rows] == ["finished", "finished", "refused"]
    assert {row["training.learning_rate"] for row in rows} == {1e-3, 7, 1e-2}
    assert all(row["seconds"] > 0 for row in rows[:2])
    with (sweep / "sweep.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert float(table[0]["test/accuracy"]) == rows[0]["test/accuracy"]
    assert table[2]["test/accuracy"] == ""
    assert "★" in (sweep / "sweep.txt").read_text()
