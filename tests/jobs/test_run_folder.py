"""The content of a run folder, and that it is accurate."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.tiny import MODEL, run

from distill_runner.data.synthetic import generate
from distill_runner.errors import Refused
from distill_runner.results.collect.comparisons import transferred_share
from distill_runner.tasks.classification import Classification

BARE = """
import json, sys, torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
folder, texts = sys.argv[1], json.load(open(sys.argv[2]))
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
with torch.no_grad():
    logits = model(**tokenizer(texts, padding=True, truncation=True, return_tensors="pt")).logits
print(json.dumps({"logits": logits.tolist(), "labels": model.config.id2label}))
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def kd(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kd")
    run(folder, store, "kd", "teacher=bert+roberta", "tracker=jsonl")
    return folder


def result_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return found


def table_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def stages_begun(store: Path) -> list[str]:
    return [path.name for path in (store / "stages").glob("*") if path.is_dir()]


def test_every_promised_file_is_there(kd: Path) -> None:
    names = {"config.yaml", "plan.json", "log.txt", "metrics.jsonl", "result.json", "tracker.jsonl"}
    assert names <= {path.name for path in kd.iterdir()}
    assert {path.name for path in (kd / "predictions").iterdir()} == {
        "train.csv",
        "quiz.csv",
        "validation.csv",
        "test.csv",
        "baseline",
        "teachers",
        "teachers_together",
    }
    kept = {str(path.relative_to(kd / "predictions")) for path in kd.glob("predictions/*/**/*.csv")}
    models = (
        "baseline",
        "teachers/bert-base-uncased",
        "teachers/roberta-base",
        "teachers_together",
    )
    assert kept == {f"{model}/{split}.csv" for model in models for split in ("validation", "test")}
    assert (kd / "student" / "README.md").read_text().startswith("---")


def test_the_result_holds_what_a_table_needs(kd: Path) -> None:
    found = result_of(kd)
    assert {"status", "key", "method", "seed", "teachers", "student", "metrics", "baseline",
            "agreement", "training", "data", "versions"} <= set(found)  # fmt: skip
    for split in ("validation", "test"):
        assert {"accuracy", "n", "low", "high"} <= set(found["metrics"][split])
    assert {"epochs", "steps", "examples_per_second", "real_tokens_per_second", "wall_seconds",
            "peak_memory_bytes", "device", "precision"} <= set(found["training"])  # fmt: skip
    small = found["student"]["parameters"]
    for teacher in found["teachers"]:
        times = found["student"]["times_smaller"][teacher["name"]]
        assert times == pytest.approx(teacher["parameters"] / small)


def test_accuracy_and_gain_follow_from_the_predictions(kd: Path) -> None:
    rows, found = table_of(kd / "predictions" / "test.csv"), result_of(kd)
    accuracy = np.mean([row["label"] == row["predicted"] for row in rows])
    assert found["metrics"]["test"]["accuracy"] == pytest.approx(accuracy)
    without = found["baseline"]["metrics"]["test"]["accuracy"]
    assert found["baseline"]["gain"]["test"]["difference"] == pytest.approx(accuracy - without)


def test_teachers_together_are_a_row_of_the_result(kd: Path) -> None:
    found = result_of(kd)
    assert found["together"]["metrics"]["test"]["n"] == 60
    together = found["together"]["metrics"]["test"]["accuracy"]
    assert together == found["agreement"]["test"]["teachers_score"]
    assert "teachers together" in (kd / "log.txt").read_text()


@pytest.mark.parametrize(
    ("teachers", "share"),
    [
        ("11111111", 0.5),  # 8 right of 8 against the baseline's 0, the student's 4
        ("10000000", None),  # one row more than the baseline says nothing
    ],
)
def test_the_transferred_share_is_of_a_gain_that_is_clear(
    teachers: str, share: float | None
) -> None:
    labels = np.zeros(8, dtype=int)

    def answers(right: str) -> np.ndarray:
        return np.array([[1.0, 0.0] if one == "1" else [0.0, 1.0] for one in right])

    found = transferred_share(
        Classification(),
        student=answers("11110000"),
        baseline=answers("00000000"),
        teachers=answers(teachers),
        labels=labels,
        clusters=np.arange(8),
    )
    assert found == share


def test_the_student_answers_alike_in_a_bare_transformers_script(kd: Path, tmp_path: Path) -> None:
    rows = table_of(kd / "predictions" / "test.csv")
    corpus = [text for text, _ in generate(200, 1)]
    texts = [corpus[int(row["id"].removeprefix("synthetic-"))] for row in rows]
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    command = [sys.executable, "-c", BARE, str(kd / "student"), str(tmp_path / "texts.json")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    bare = json.loads(printed)
    assert bare["labels"] == {"0": "negative", "1": "positive"}
    ours = [[float(row["logit_negative"]), float(row["logit_positive"])] for row in rows]
    np.testing.assert_allclose(bare["logits"], ours, atol=1e-5)


def test_no_text_of_the_data_is_left_in_the_run_folder(kd: Path) -> None:
    texts = [text for text, _ in generate(200, 1)]
    written = "".join(
        path.read_text()
        for path in kd.rglob("*")
        if path.is_file()
        and path.suffix in {".csv", ".json", ".jsonl", ".txt", ".yaml"}
        and "student" not in path.parts
    )
    assert not [text for text in texts if text in written]


def test_a_teacher_scores_in_the_loop_what_it_scores_alone(store: Path, tmp_path: Path) -> None:
    # Live teachers with tokenizers of their own, standing still: μ = 0.
    run(tmp_path, store, "metadistil", "teacher=bert+roberta", "method.teacher_learning_rate=0")
    found = result_of(tmp_path)
    for teacher, after in zip(found["teachers"], found["trained_teachers"], strict=True):
        # It stood still: what the stage left is what came in.
        before = teacher["metrics"]["validation"]["accuracy"]
        assert after["validation"] == pytest.approx(before)
    assert "bert-base-uncased, after" in (tmp_path / "log.txt").read_text()
    seen = found["teachers_on_training_rows"]
    assert set(seen) == {"bert-base-uncased", "roberta-base"}
    for score in seen.values():
        assert score["in_the_loop_first_epoch"] == pytest.approx(score["alone"], abs=1e-9)


def test_the_best_epoch_is_kept_and_validation_is_then_no_result(
    store: Path, tmp_path: Path
) -> None:
    run(tmp_path, store, "finetune", "training.select=best_validation", "training.epochs=4",
        "training.learning_rate=0.02")  # fmt: skip
    found = result_of(tmp_path)
    assert "validation" not in found["metrics"]
    points = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    scores = {point["epoch"]: point["accuracy"] for point in points if "epoch" in point}
    best = max(scores, key=lambda epoch: (scores[epoch], -epoch))
    assert found["training"]["kept_epoch"] == best
    kept = found["metrics"]["selection_on_validation"]["accuracy"]
    assert kept == pytest.approx(scores[best])


def test_a_model_that_starts_from_a_classifier_may_have_seen_the_test_rows(
    store: Path, kd: Path, tmp_path: Path
) -> None:
    assert not result_of(kd)["student"]["may_have_seen_test_rows"]
    run(tmp_path / "one", store, "finetune", f"student.model={kd}/student")
    assert result_of(tmp_path / "one")["student"]["may_have_seen_test_rows"]
    assert "may have seen" in (tmp_path / "one" / "student" / "README.md").read_text()
    run(tmp_path / "two", store, "kd", f"teacher.models=[{kd}/student,bert-base-uncased]")
    found = result_of(tmp_path / "two")
    assert [teacher["may_have_seen_test_rows"] for teacher in found["teachers"]] == [True, False]
    assert not found["student"]["may_have_seen_test_rows"]


def test_a_taken_teacher_of_unknown_labels_is_refused_before_another_is_trained(
    kd: Path, tmp_path: Path
) -> None:
    nameless = shutil.copytree(kd / "student", tmp_path / "nameless")
    config = json.loads((nameless / "config.json").read_text())
    del config["id2label"], config["label2id"]
    (nameless / "config.json").write_text(json.dumps(config))
    with pytest.raises(Refused) as caught:
        run(
            tmp_path / "run",
            tmp_path / "store",
            "kd",
            f"teacher.models=[bert-base-uncased,{nameless}]",
        )
    assert caught.value.key == "teacher.labels"
    assert stages_begun(tmp_path / "store") == []


def test_a_student_that_no_teachers_layers_fit_is_refused_before_the_teacher_is_trained(
    tmp_path: Path,
) -> None:
    wider = f"models.distilbert-base-uncased={MODEL.format(family='distilbert', width=24)}"
    with pytest.raises(Refused) as caught:
        run(tmp_path / "run", tmp_path / "store", "kd", "student.start=teacher", wider)
    assert caught.value.key == "student.start"
    assert stages_begun(tmp_path / "store") == []


def test_force_repeats_the_students_stages_and_keeps_the_teachers(
    store: Path, kd: Path, tmp_path: Path
) -> None:
    run(tmp_path, store, "kd", "teacher=bert+roberta", "tracker=jsonl", "force=true")
    stages = result_of(tmp_path)["stages"]
    trained = {name for name, stage in stages.items() if stage["trained_now"]}
    assert trained == {"baseline", "kd"}
    assert result_of(tmp_path)["metrics"] == result_of(kd)["metrics"]


def test_a_stage_from_the_store_still_has_its_curves(store: Path, kd: Path, tmp_path: Path) -> None:
    run(tmp_path, store, "kd", "teacher=bert+roberta", "tracker=jsonl")

    def points(folder: Path) -> int:
        lines = (folder / "tracker.jsonl").read_text().splitlines()
        return sum("kd/student/soft" in line for line in lines)

    assert points(tmp_path) > 0
    assert points(tmp_path) == points(kd)
