"""A cascade keeps its promise, or says that it cannot be made."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.tiny import run
from typer.testing import CliRunner

from distill_runner import load
from distill_runner.commands.distill import main
from distill_runner.errors import Refused
from distill_runner.jobs.output_folder import CASCADE
from distill_runner.serving.cascade import Answers, certify, make_cascade, score
from distill_runner.serving.cascade_student import CascadeStudent, read_cascade
from distill_runner.serving.finished_run import read_run
from distill_runner.storage.store import write_json

TWO = ("no", "yes")


def draw(rows: int, generator: np.random.Generator) -> Answers:
    """Students that are right as often as they say, beside a teacher that is a little better."""
    sure = 0.5 + 0.5 * generator.random(rows) ** 0.5
    luck = generator.random(rows)
    clusters = np.repeat(np.arange(rows), generator.integers(1, 4, rows))[:rows]
    return Answers(
        sure=sure, right=luck < sure, taught=luck < np.minimum(1, sure + 0.06), clusters=clusters
    )


def test_the_student_answers_more_where_more_may_be_lost() -> None:
    found = draw(20_000, np.random.default_rng(1))
    thresholds = [certify(found, limit, TWO) for limit in (0.005, 0.01, 0.03)]
    assert None not in thresholds
    assert thresholds == sorted(thresholds, reverse=True)  # type: ignore[type-var]
    assert thresholds[0] != thresholds[-1]


def test_the_promise_is_kept_in_95_of_100_draws() -> None:
    generator = np.random.default_rng(2)
    everyone, limit = draw(200_000, generator), 0.02
    broken = 0
    for _ in range(100):
        rows = generator.choice(200_000, 3000, replace=False)
        part = Answers(**{name: values[rows] for name, values in vars(everyone).items()})
        threshold = certify(part, limit, TWO)
        broken += threshold is not None and everyone.losses(threshold).mean() > limit
    assert broken <= 5


def test_too_few_rows_promise_nothing() -> None:
    few = Answers(*(np.ones(100, dtype=bool),) * 3, clusters=np.arange(100))
    assert certify(few, 0.005, TWO) is None


def test_the_score_of_a_cascade_is_that_of_its_answers(store: Path, tmp_path: Path) -> None:
    run(tmp_path / "run", store, "kd", "teacher=bert", "evaluation.latency=true")
    result = read_run(tmp_path / "run").result
    answers = Answers(
        sure=np.array([0.9, 0.8, 0.6, 0.99]),
        right=np.array([True, False, False, True]),
        taught=np.array([False, True, True, True]),
        clusters=np.arange(4),
    )
    found = score(answers, 0.8, result)
    assert found.answered_by_student == 0.75
    assert found.accuracy.value == 0.75  # right, wrong, taught right, right
    assert found.accuracy_of_student.value == 0.5
    assert found.gain_over_teachers.value == 0
    assert result.latency is not None
    each = {name: one.milliseconds for name, one in result.latency.models.items()}
    expected = each["student"] + 0.25 * each["teacher bert-base-uncased"]
    assert found.milliseconds == pytest.approx(expected)


def test_a_promise_that_the_rows_cannot_prove_is_refused(store: Path, tmp_path: Path) -> None:
    run(tmp_path / "run", store, "kd", "teacher=bert")
    with pytest.raises(Refused, match="cannot be promised on 40 validation rows") as refused:
        make_cascade(read_run(tmp_path / "run"), lose=0.5)
    assert "dataset.split.validation=" in str(refused.value)


def test_a_run_without_teachers_is_refused(store: Path, tmp_path: Path) -> None:
    run(tmp_path / "run", store, "finetune")
    with pytest.raises(Refused, match="it has no teachers"):
        make_cascade(read_run(tmp_path / "run"), lose=0.5)


def test_the_command_prints_and_writes_the_cascade(store: Path, tmp_path: Path) -> None:
    run(tmp_path / "run", store, "kd", "teacher=bert")
    done = CliRunner().invoke(main, ["cascade", str(tmp_path / "run"), "--lose", "40"])
    assert done.exit_code == 0, done.output
    written = json.loads((tmp_path / "run" / "cascade.json").read_text())
    assert f"{written['threshold']:.4f}" in done.output
    assert "--cascade" in done.output.splitlines()[-1]
    lines = done.output.splitlines()
    assert [line for line in lines if len(line) > 80 and str(tmp_path) not in line] == []


def test_bad_input_is_one_message(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["cascade", str(tmp_path), "--lose", "0.5"])
    assert done.exit_code == 2
    assert "is not a run folder" in done.output


@pytest.mark.parametrize("teacher", ["bert", "bert+roberta"])
def test_a_file_is_answered_by_the_student_where_it_is_sure(
    teacher: str, store: Path, tmp_path: Path
) -> None:
    folder, texts = tmp_path / "run", ["a good film", "a bad film", "the plot is thin", "good"]
    run(folder, store, "kd", f"teacher={teacher}")
    student = load(folder, store=store)
    sure = student.predict_proba(texts, calibrated=False).max(-1)
    threshold = float(np.median(sure))
    made = make_cascade(read_run(folder), lose=45)
    write_json(folder / CASCADE, vars(replace(made, threshold=threshold)))
    (tmp_path / "in.csv").write_text("\n".join(["text", *texts]) + "\n")
    out = tmp_path / "out.csv"
    words = ["predict", str(folder), str(tmp_path / "in.csv"), "--cascade", "--output", str(out)]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    joint = CascadeStudent(read_run(folder), student)
    for text, row, own in zip(texts, rows, sure, strict=True):
        assert row["answered_by"] == ("student" if own >= threshold else "teacher")
        if own >= threshold:
            assert row["label"] == student.predict([text])[0]
        else:
            each = np.stack([one.logits([text]) for one in student.teachers.values()])
            together = each.mean(0) if len(each) > 1 else each[0]
            assert row["label"] == student.classes[int(together.argmax())]
            expected = joint.probabilities(joint.logits([text]))[0].max()
            assert float(row["confidence"]) == pytest.approx(float(expected), rel=1e-5)


def test_a_run_without_a_cascade_is_told_how_to_make_one(store: Path, tmp_path: Path) -> None:
    run(tmp_path / "run", store, "kd", "teacher=bert")
    (tmp_path / "in.csv").write_text("text\na good film\n")
    words = ["predict", str(tmp_path / "run"), str(tmp_path / "in.csv"), "--cascade"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2
    assert "has no cascade" in done.output
    assert "distill cascade" in done.output


def test_a_cascade_outlives_a_repeated_run_and_not_another_one(store: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run(folder, store, "kd", "teacher=bert")
    write_json(folder / CASCADE, vars(make_cascade(read_run(folder), lose=45)))
    run(folder, store, "kd", "teacher=bert")
    assert read_cascade(read_run(folder)).lose == 45
    run(folder, store, "kd", "teacher=bert", "seed=2")
    with pytest.raises(Refused, match="earlier run"):
        read_cascade(read_run(folder))
