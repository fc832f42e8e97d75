"""A model that learned nothing is marked as such wherever its figures appear."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset
from rich.console import Console
from support.results import a_job, a_result, a_student
from support.tiny import run

from distill_runner.config.schema import Metric
from distill_runner.evaluation.chance_level import verdict
from distill_runner.report.at_chance import warnings
from distill_runner.report.card import model_card
from distill_runner.report.seed_table import seed_rows
from distill_runner.report.sweeps import job_rows
from distill_runner.report.tables import gain_line, result_table
from distill_runner.results.files import read_result
from distill_runner.results.measurements import AtChance
from distill_runner.tasks.classification import Classification
from distill_runner.tasks.regression import Regression

ROWS = "text,label\n" + "".join(
    f"a {word} film number {n},{label}\n"
    for n in range(80)
    for word, label in (("good", "fine"), ("bad", "poor"), ("odd", "so-so"))
)
NOTHING = ("training.learning_rate=1e-9", "training.max_steps=1")


def result_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return found


def distilled(folder: Path, store: Path, *overrides: str) -> Path:
    """A run on a file of three classes."""
    (folder / "rows.csv").write_text(ROWS)
    run(
        *(folder / "run", store, "kd", "teacher=bert", "dataset.generate=0"),
        *("dataset.label_names=null", f"dataset.path={folder}/rows.csv"),
        *("dataset.split.train=120", "dataset.split.validation=45", "dataset.split.test=60"),
        *("dataset.split.quiz=0", *overrides),
    )
    return folder / "run"


@pytest.fixture(scope="module")
def unlearned(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Neither of its students learned anything."""
    return distilled(tmp_path_factory.mktemp("run"), store, *NOTHING)


def test_a_student_that_learned_nothing_is_said_to_in_result_and_log(unlearned: Path) -> None:
    found, log = result_of(unlearned), (unlearned / "log.txt").read_text()
    for model in (found["student"], found["baseline"]):
        assert model["no_better_than_chance"] is True
        assert model["chance"]["split"] == "test"
        assert "largest class" in model["chance"]["label"]
    assert "WARNING: the student " in log
    assert "WARNING: the student without a teacher " in log
    assert "Try a larger training.max_steps than 1, or a larger training.learning_rate." in log
    assert "is shown to be better than chance" in log
    assert "Gain on test: +" not in log
    assert "Gain on test: -" not in log


def test_its_row_and_its_card_say_so(unlearned: Path) -> None:
    console = Console(width=200, file=io.StringIO())
    console.print(result_table(read_result(unlearned)))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    mark = result_of(unlearned)["student"]["chance"]["label"]
    rows = [line for line in shown.splitlines() if "distilbert" in line]
    assert len(rows) == 2
    assert all("the largest class)" in row for row in rows)
    card = model_card(read_result(unlearned)).split("## What it scores")[0]
    assert "**WARNING: this student " in card
    assert mark in card or "it has learned nothing" in card


def test_macro_f1_is_in_the_table(unlearned: Path) -> None:
    assert "macro_f1" in (unlearned / "log.txt").read_text()


def test_a_sweep_says_who_is_at_chance_and_shows_no_gain_of_it(unlearned: Path) -> None:
    result = read_result(unlearned)
    both = [
        a_job(str(at), replace(result, overrides=(f"seed={at}",), key=str(at))) for at in range(2)
    ]
    row, _ = job_rows(both)
    assert row["at chance"] == "both"
    assert row["gain"] == "chance"
    (over_seeds,) = seed_rows(both)
    assert over_seeds["at chance"] == "2 of 2"
    assert over_seeds["mean gain"] == "–"


def test_a_model_that_learned_is_not_marked(store: Path, tmp_path: Path) -> None:
    found = read_result(
        distilled(tmp_path, store, "training.epochs=12", "training.learning_rate=1e-2")
    )
    assert found.student.no_better_than_chance is False
    assert not [line for line in warnings(found) if "the student" in line]
    line = gain_line(found)
    assert line is not None
    assert "points [" in line
    assert "at chance" not in job_rows([a_job("0", found)])[0]


def test_without_test_rows_validation_decides(store: Path, tmp_path: Path) -> None:
    run(tmp_path, store, "finetune", "dataset.split.test=0", *NOTHING)
    chance = result_of(tmp_path)["student"]["chance"]
    assert chance["split"] == "validation"


def rows(labels: list[float], groups: list[str] | None = None) -> dict[str, Any]:
    from datasets import Features, Value

    whole = all(isinstance(label, int) for label in labels)
    columns: dict[str, Any] = {"label": labels}
    types = {"label": Value("int64" if whole else "float32")}
    if groups is not None:
        columns["group"], types["group"] = groups, Value("string")
    return {"test": Dataset.from_dict(columns, features=Features(types))}


def judged(
    answers: np.ndarray, splits: dict[str, Dataset], *, metrics: list[Metric], classes: list[str]
) -> AtChance | None:
    test = splits["test"]
    kind = Regression if metrics[0] in Regression.rules.metrics else Classification
    task = kind(tuple(metrics))
    return verdict(task, task.score(answers, test), answers, "test", test, names=classes)


def test_one_answer_for_all_rows_is_named() -> None:
    answers = np.tile([0.0, 3.0, 1.0], (30, 1))
    splits = rows([0, 1, 2] * 10)
    found = judged(answers, splits, metrics=[Metric.accuracy], classes=["bad", "good", "so-so"])
    assert found is not None
    assert (found.one_answer, found.label) == ("good", "no better than the largest class")
    student = a_student(no_better_than_chance=True, chance=found)
    assert warnings(a_result(student=student)) == [
        "WARNING: the student predicts 'good' for all 30 test rows: it has learned nothing. "
        "Try more training.epochs, or a larger training.learning_rate."
    ]


def test_a_ranking_is_judged_by_its_order_and_not_by_its_class() -> None:
    # Of every ten rows of a question one is right; no answer is above a half.
    labels, groups = [1, *[0] * 9] * 12, [str(at // 10) for at in range(120)]
    right = np.array([[0.0, -1.0 if label else -3.0] for label in labels])
    settings: dict[str, Any] = {"metrics": [Metric.map], "classes": ["no", "yes"]}
    splits = rows(labels, groups)
    assert judged(right, splits, **settings) is None
    wrong = judged(np.tile([0.0, -5.0], (120, 1)), splits, **settings)
    assert wrong is not None
    assert wrong.label == "ranks no better than a random order"


def test_few_rows_may_not_tell_a_better_model_apart() -> None:
    answers = np.eye(2)[[0, 0, 0, 1, 1, 1, 1, 1, 0, 0]]  # 6 of 10 are right
    settings: dict[str, Any] = {"metrics": [Metric.accuracy], "classes": ["no", "yes"]}
    found = judged(answers, rows([0] * 5 + [1] * 5), **settings)
    assert found is not None
    assert found.label == "not significantly better than the largest class"


def test_one_score_for_all_rows_is_chance() -> None:
    answers = np.full((20, 1), 2.5)
    labels = [float(at) for at in range(20)]
    settings: dict[str, Any] = {"metrics": [Metric.pearson], "classes": ["score"]}
    found = judged(answers, rows(labels), **settings)
    assert found is not None
    assert (found.label, found.one_answer) == ("no better than one score for all rows", None)
