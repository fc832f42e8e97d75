"""Multi-label classification end to end: each label has its own words."""

from __future__ import annotations

import csv
import itertools
import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.learners import save_bert
from support.tiny import composed, planned, run, shrunk

from distill_runner.config.compose import to_dataclasses
from distill_runner.config.schema import Metric
from distill_runner.data.load import Prepared, prepare
from distill_runner.errors import Refused
from distill_runner.evaluation.metrics.label_sets import best_constant, metric_of_sets
from distill_runner.models import folder_checks
from distill_runner.objectives.sigmoids import (
    binary_cross_entropy,
    equal_mean_of_sigmoids,
    mean_of_sigmoids,
)
from distill_runner.planning.setting_checks import check_settings
from distill_runner.tasks.multi_label import MultiLabel

LABELS = {"joy": "happy", "anger": "cross", "fear": "afraid"}
WORDS = ["plain", "film", "river", "stone", "old", "green", "house", "quick", "road"]
TASK = ("dataset=multi_label", "dataset.generate=0", "dataset.max_tokens=16")
MODEL = (
    "{{family: {family}, layers: 1, width: 32, heads: 2, feedforward: 32, "
    "dropout: 0.0, vocabulary: 100}}"
)
LEARNT = (
    "training.epochs=8",
    "training.learning_rate=0.01",
    "training.batch_size=32",
    "teacher.training.epochs=10",
    "teacher.training.learning_rate=0.005",
    "dataset.split.train=null",
    "dataset.split.validation=60",
    "dataset.split.quiz=32",
    "dataset.split.test=120",
    f"models.bert-base-uncased={MODEL.format(family='bert')}",
    f"models.roberta-base={MODEL.format(family='roberta')}",
    f"models.distilbert-base-uncased={MODEL.format(family='distilbert')}",
)
Sets = list[tuple[str, list[str]]]


def rows_of(count: int = 500) -> Sets:
    """A text, and its labels: those whose word stands in it, none in about one row of three."""
    draw = random.Random(1)
    rows: dict[str, list[str]] = {}
    while len(rows) < count:
        labels = [label for label in LABELS if draw.random() < 0.3]
        words = [*draw.choices(WORDS, k=4), *(LABELS[label] for label in labels)]
        draw.shuffle(words)
        rows[" ".join(words)] = labels
    return list(rows.items())


def write_lists(path: Path, rows: Sets) -> Path:
    """JSON lines with a list of labels in each."""
    path.write_text(
        "".join(json.dumps({"text": text, "labels": labels}) + "\n" for text, labels in rows),
        encoding="utf-8",
    )
    return path


def write_cells(path: Path, rows: Sets) -> Path:
    """A csv file with labels such as joy|anger in a cell."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "labels"), *((t, "|".join(ls)) for t, ls in rows)])
    return path


def write_columns(path: Path, rows: Sets) -> Path:
    """A csv file with a column of 0 and 1 for each label."""
    with path.open("w", newline="", encoding="utf-8") as file:
        truths = [(text, *(int(name in labels) for name in LABELS)) for text, labels in rows]
        csv.writer(file).writerows([("text", *LABELS), *truths])
    return path


def prepared(path: Path, *overrides: str) -> Prepared:
    config = to_dataclasses(composed(*TASK, f"dataset.path={path}", *overrides))
    check_settings(config)
    return prepare(config.dataset, source=path, store_dir=path.parent / "store")


def result_of(tmp_path: Path, method: str, *overrides: str) -> dict[str, Any]:
    path = write_lists(tmp_path / "rows.jsonl", rows_of())
    asked = (*TASK, f"dataset.path={path}", *overrides)
    run(tmp_path / method, tmp_path / "store", method, *asked, settings=LEARNT)
    found: dict[str, Any] = json.loads((tmp_path / method / "result.json").read_text())
    return found


# --- data ------------------------------------------------------------------------------------


def test_lists_cells_and_columns_hold_the_same_sets(tmp_path: Path) -> None:
    rows, columns = rows_of(100), f"dataset.label=[{','.join(LABELS)}]"
    files = (
        (write_lists(tmp_path / "a.jsonl", rows), ()),
        (write_cells(tmp_path / "b.csv", rows), ()),
        (write_columns(tmp_path / "c.csv", rows), (columns,)),
    )
    for path, overrides in files:
        found, known = prepared(path, *overrides), dict(rows)
        assert set(found.label_names) == set(LABELS)
        for split in ("train", "test"):
            for row in found.splits[split]:
                named = [n for n, at in zip(found.label_names, row["label"], strict=True) if at]
                assert sorted(named) == sorted(known[row["text"]])


def test_parquet_lists_and_an_order_of_ones_own(tmp_path: Path) -> None:
    import datasets

    texts, labels = zip(*rows_of(100), strict=True)
    path = tmp_path / "rows.parquet"
    datasets.Dataset.from_dict({"text": texts, "labels": labels}).to_parquet(path)
    found = prepared(path, "dataset.label_names=[joy,fear,anger]")
    assert found.label_names == ("joy", "fear", "anger")


def test_labels_are_sorted_as_numbers_only_if_all_are(tmp_path: Path) -> None:
    rows = [(f"{text} {n}", [str(n % 3 + 9)]) for n, (text, _) in enumerate(rows_of(90))]
    assert prepared(write_cells(tmp_path / "a.csv", rows)).label_names == ("9", "10", "11")
    rows += [(f"{text} again", ["--1"]) for text, _ in rows[:9]]
    found = prepared(write_cells(tmp_path / "b.csv", rows))
    assert found.label_names == ("--1", "10", "11", "9")


def test_rows_marked_as_unlabelled_are_dropped_and_an_empty_set_is_kept(tmp_path: Path) -> None:
    rows = [*rows_of(100), ("not read by anybody", ["?"]), ("nothing in it", [])]
    found = prepared(write_cells(tmp_path / "a.csv", rows), "dataset.no_label='?'")
    assert found.counts["dropped_without_label"] == 1
    texts = [text for table in found.splits.values() for text in table["text"]]
    assert "nothing in it" in texts


FAULTY = {
    "a label twice": ('{"text": "x", "labels": ["joy", "joy"]}', "twice"),
    "a label without a name": ('{"text": "x", "labels": [""]}', "no name"),
    "a name that is not given": ('{"text": "x", "labels": ["hope"]}', "outside the label names"),
    "no list": ('{"text": "x", "labels": "[joy"}', "not a set of labels"),
    "an object": ('{"text": "x", "labels": {"joy": 1}}', "does not hold a label"),
    "a surrogate": ('{"text": "x", "labels": "\\ud800"}', "lone surrogate"),
}


@pytest.mark.parametrize("case", FAULTY)
def test_a_faulty_set_is_refused_where_it_stands(tmp_path: Path, case: str) -> None:
    line, what = FAULTY[case]
    path = write_lists(tmp_path / "a.jsonl", rows_of(60))
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(Refused, match=what) as caught:
        prepared(path, "dataset.label_names=[joy,anger,fear]")
    assert caught.value.key in ("dataset.label", "dataset.label_names")
    if "every row" in str(caught.value.rule):
        assert "a list of names" in str(caught.value.rule)
    assert "61" in str(caught.value) or case == "a name that is not given"


def test_a_label_column_holds_only_truth_values(tmp_path: Path) -> None:
    path = write_columns(tmp_path / "a.csv", rows_of(60))
    path.write_text(path.read_text() + "x,1,2,0\n")
    with pytest.raises(Refused, match="neither 0 nor 1"):
        prepared(path, "dataset.label=[joy,anger,fear]")


# --- losses and means ------------------------------------------------------------------------


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def test_the_hard_loss_is_the_binary_cross_entropy_by_plain_arithmetic() -> None:
    logits, labels = [[0.3, -1.2], [2.0, 0.5]], [[1, 0], [0, 1]]
    terms = [
        -(y * math.log(sigmoid(z)) + (1 - y) * math.log(1 - sigmoid(z)))
        for zs, ys in zip(logits, labels, strict=True)
        for z, y in zip(zs, ys, strict=True)
    ]
    found = binary_cross_entropy(torch.tensor(logits), torch.tensor(labels))
    assert found.item() == pytest.approx(sum(terms) / 4)


def test_models_are_averaged_by_their_sigmoids() -> None:
    logits, weights = torch.randn(3, 4, 2, dtype=torch.float64), torch.tensor([0.5, 0.3, 0.2])
    mean = mean_of_sigmoids(logits, weights.double(), 2.0)
    expected = sum(w * torch.sigmoid(z / 2) for w, z in zip(weights, logits, strict=True))
    torch.testing.assert_close(torch.sigmoid(mean / 2), expected, rtol=1e-6, atol=1e-6)
    equal = torch.sigmoid(equal_mean_of_sigmoids(logits))
    torch.testing.assert_close(equal, torch.sigmoid(logits).mean(0))


# --- scores ----------------------------------------------------------------------------------


def plain_f1(hits: int, wrong: int) -> float:
    return 2 * hits / (2 * hits + wrong) if hits or wrong else 0.0


def test_every_metric_equals_one_counted_row_by_row() -> None:
    draw = np.random.default_rng(3)
    labels = (draw.random((40, 3)) < 0.3).astype(np.float32)
    logits = np.where(draw.random((40, 3)) < 0.8, labels, 1 - labels) * 2 - 1
    hits, wrong, exact = [0, 0, 0], [0, 0, 0], 0
    for row, answer in zip(labels, logits > 0, strict=True):
        exact += all(bool(y) == bool(a) for y, a in zip(row, answer, strict=True))
        for at in range(3):
            hits[at] += bool(row[at]) and bool(answer[at])
            wrong[at] += bool(row[at]) != bool(answer[at])
    found = MultiLabel().score_answers(logits, labels)
    assert found["subset_accuracy"] == pytest.approx(exact / 40)
    assert found["micro_f1"] == pytest.approx(plain_f1(sum(hits), sum(wrong)))
    each = [plain_f1(h, w) for h, w in zip(hits, wrong, strict=True)]
    assert found["macro_f1"] == pytest.approx(sum(each) / 3)
    assert (found.primary_metric, found.majority) == ("micro_f1", None)
    assert found.low < found.value < found.high


def test_the_best_set_for_all_rows_is_found_among_all_sets() -> None:
    draw = np.random.default_rng(5)
    for _ in range(20):
        labels = draw.random((12, 4)) < draw.random(4)
        for metric in (Metric.micro_f1, Metric.macro_f1, Metric.subset_accuracy):
            every = (np.array(one, dtype=bool) for one in itertools.product((0, 1), repeat=4))
            scores = [metric_of_sets(metric, np.tile(one, (12, 1)), labels) for one in every]
            assert best_constant(metric, labels) == pytest.approx(max(scores))


@pytest.mark.parametrize("metric", [Metric.micro_f1, Metric.macro_f1, Metric.subset_accuracy])
def test_the_same_answers_have_no_lead_and_all_right_ones_a_clear_one(metric: Metric) -> None:
    labels = (np.random.default_rng(1).random((200, 3)) < 0.4).astype(np.float32)
    right, wrong, task = labels * 2 - 1, 1 - labels * 2, MultiLabel((metric,))
    rows = np.arange(200)
    same = task.lead(right, right, labels, rows)
    assert (same.low, same.high) == (0.0, 0.0)
    assert task.lead(right, wrong, labels, rows).low > 0.5
    assert task.agreement(right, right) == 1.0


# --- runs ------------------------------------------------------------------------------------

KD = ("teacher=bert+roberta", "method.soft_loss=soft_bce")


@pytest.mark.parametrize(
    ("method", "overrides"),
    [
        ("finetune", ()),
        ("kd", (*KD, "teacher.combine=prob_mean")),
        ("metadistil", ("teacher=bert", "method.soft_loss=soft_bce")),
        ("mkd", ("teacher=bert+roberta",)),
    ],
)
def test_a_student_learns_its_labels(
    tmp_path: Path, method: str, overrides: tuple[str, ...]
) -> None:
    found = result_of(tmp_path, method, *overrides)
    assert found["student"]["no_better_than_chance"] is False
    test = found["metrics"]["test"]
    assert test["micro_f1"] > 0.75
    assert {"micro_f1", "macro_f1", "subset_accuracy"} <= set(test)
    assert found["primary_metric"] == "micro_f1"
    log = (tmp_path / method / "log.txt").read_text()
    assert "micro_f1 times 100" in log
    assert "largest class" not in log


def test_the_student_answers_with_sigmoids_in_transformers(tmp_path: Path) -> None:
    from transformers import pipeline

    found = result_of(tmp_path, "finetune")
    student = tmp_path / "finetune" / "student"
    assert found["formula"] == "L = BCE(y, s)"
    assert "top_k=None" in (student / "README.md").read_text()
    with (tmp_path / "finetune" / "predictions" / "test.csv").open() as file:
        row = next(csv.DictReader(file))
    texts = [text for text, _ in rows_of()]
    text = texts[int(row["id"].removeprefix("train-"))]
    answers = pipeline("text-classification", model=str(student), top_k=None)([text])[0]
    for answer in answers:
        logit = float(row[f"logit_{answer['label']}"])
        assert answer["score"] == pytest.approx(sigmoid(logit), abs=1e-4)
    said = "|".join(name for name in found["data"]["classes"] if float(row[f"logit_{name}"]) > 0)
    assert row["predicted"] == said


def test_a_loaded_student_answers_with_sets(tmp_path: Path) -> None:
    from distill_runner.serving.student import load

    result_of(tmp_path, "finetune")
    student = load(tmp_path / "finetune", device="cpu")
    texts, labels = zip(*rows_of(50), strict=True)
    answers = student.predict(texts)
    right = [set(one) == set(known) for one, known in zip(answers, labels, strict=True)]
    assert sum(right) > 40
    probabilities = student.predict_proba(texts)
    assert ((probabilities > 0.5).sum(axis=1) == list(map(len, answers))).all()


REFUSED = {
    "a soft loss of classes": ("kd", ("method.soft_loss=kl",), "method.soft_loss"),
    "mutual learning": ("mutual", (), "dataset.task"),
    "noisy students": ("noisy_student", (), "dataset.task"),
    "accuracy": ("finetune", ("dataset.metrics=[accuracy]",), "dataset.metrics"),
    "votes": ("kd", (*KD, "teacher.weigh_by=validation"), "teacher.weigh_by"),
    "a generated corpus": ("finetune", ("dataset.generate=100",), "dataset.task"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_sets_of_labels_do_not_have_is_refused_before_anything_is_read(
    tmp_path: Path, case: str
) -> None:
    method, overrides, key = REFUSED[case]
    asked = (f"method={method}", *TASK, "dataset.path=rows.csv", *overrides)
    with pytest.raises(Refused) as caught:
        planned(shrunk(tmp_path, *asked), method)
    assert caught.value.key == key


@pytest.mark.parametrize("method", ["mutual", "noisy_student"])
def test_the_way_out_of_a_method_for_classes_can_be_typed(tmp_path: Path, method: str) -> None:
    with pytest.raises(Refused, match="soft_loss=soft_bce") as caught:
        planned(shrunk(tmp_path, f"method={method}", *TASK, "dataset.path=rows.csv"), method)
    way_out = (caught.value.way_out or "").rpartition("or ")[2].split()
    assert planned(shrunk(tmp_path, *way_out, *TASK, "dataset.path=rows.csv"), "kd")


def test_a_soft_loss_of_sigmoids_is_refused_of_classes(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="compares sigmoids"):
        planned(shrunk(tmp_path, "method=kd", "teacher=bert", "method.soft_loss=soft_bce"))


def test_a_classifier_of_one_class_a_text_is_no_teacher_of_sets(tmp_path: Path) -> None:
    save_bert(tmp_path / "softmax", layers=1)
    with pytest.raises(Refused, match=r"was trained for dataset\.task=classification"):
        folder_checks.check_labels(
            tmp_path / "softmax",
            name="softmax",
            task=MultiLabel(),
            classes=("a", "b"),
            key="teacher.models",
            labels=None,
        )
