"""Regression end to end: pairs of sentences, scored by how many words are of one kind."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from support.results import a_job
from support.tiny import composed, planned, run, shrunk

from distill_runner.config.compose import to_dataclasses
from distill_runner.data.load import Prepared, prepare
from distill_runner.data.readers.scores import OUTPUT
from distill_runner.errors import Refused
from distill_runner.hub.locate import locate_dataset
from distill_runner.planning.setting_checks import check_settings
from distill_runner.report.sweeps import job_rows
from distill_runner.results.files import read_result

WORDS = ["plain", "bright", "film", "river", "stone", "old", "green", "house", "quick", "road"]
TASK = ("dataset=stsb", "dataset.generate=0", "dataset.max_tokens=16")
# Untaught models of this size: wide enough and long enough to see which words are shared.
MODEL = (
    "{{family: {family}, layers: 1, width: 32, heads: 2, feedforward: 32, "
    "dropout: 0.0, vocabulary: 100}}"
)
LEARNT = (
    "training.epochs=12",
    "training.learning_rate=0.01",
    "training.batch_size=32",
    "teacher.training.epochs=16",
    "teacher.training.learning_rate=0.005",
    "dataset.split.train=null",
    "dataset.split.validation=null",
    "dataset.split.test=100",
    f"models.bert-base-uncased={MODEL.format(family='bert')}",
    f"models.roberta-base={MODEL.format(family='roberta')}",
    f"models.distilbert-base-uncased={MODEL.format(family='distilbert')}",
)
KD = ("teacher=bert", "method.soft_loss=mse_logits")


def rows_of(prefix: str, count: int) -> list[tuple[str, str, float]]:
    """Each row: two sentences, and half as much as they say `river`, `stone` or `old`, 0..5."""
    draw = random.Random(prefix)
    rows: dict[tuple[str, str], float] = {}
    while len(rows) < count:
        first, second = (draw.choices(WORDS, k=5) for _ in range(2))
        said = " ".join(first), " ".join(second)
        rows[said] = sum(word in ("river", "stone", "old") for word in first + second) / 2
    return [(*said, score) for said, score in rows.items()]


def lay_out(root: Path, *, train: int = 600) -> Path:
    """The files as the hub has them: float scores, and -1 for all of the test file."""
    import datasets

    folder = root / "glue" / "stsb"
    folder.mkdir(parents=True, exist_ok=True)
    for split, count in (("train", train), ("validation", 80), ("test", 20)):
        first, second, scores = (list(part) for part in zip(*rows_of(split, count), strict=True))
        label = [-1.0] * count if split == "test" else scores
        features = datasets.Features(
            {
                "sentence1": datasets.Value("string"),
                "sentence2": datasets.Value("string"),
                "label": datasets.Value("float32"),
            }
        )
        table = datasets.Dataset.from_dict(
            {"sentence1": first, "sentence2": second, "label": label}, features=features
        )
        table.to_parquet(folder / f"{split}-00000-of-00001.parquet")
    return folder


def regress(
    tmp_path: Path, method: str, *overrides: str, settings: Sequence[str] = LEARNT
) -> dict[str, Any]:
    lay_out(tmp_path)
    run(
        tmp_path / method, tmp_path / "store", method, *TASK, f"paths.datasets={tmp_path}",
        *overrides, settings=settings,
    )  # fmt: skip
    found: dict[str, Any] = json.loads((tmp_path / method / "result.json").read_text())
    return found


def prepared(root: Path, *overrides: str) -> Prepared:
    config = to_dataclasses(composed("dataset=stsb", "dataset.split.test=40", *overrides))
    check_settings(config)
    source = config.dataset.path or locate_dataset(
        "nyu-mll/glue", subset="stsb", datasets_dir=root, key="dataset.hub"
    )
    return prepare(config.dataset, source=Path(source), store_dir=root / "store")


def predictions(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """(labels, answers) of the student on a split."""
    with (folder / "predictions" / f"{split}.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["id", "cluster", "label", "predicted"]
    return (
        np.array([float(row["label"]) for row in rows]),
        np.array([float(row["predicted"]) for row in rows]),
    )


def test_scores_are_kept_as_they_are_in_every_split(tmp_path: Path) -> None:
    lay_out(tmp_path)
    found = prepared(tmp_path)
    assert found.label_names == (OUTPUT,)
    assert found.counts["dropped_hidden_labels"] == 20
    known = {(a, b): score for split in ("train", "validation") for a, b, score in
             rows_of(split, 600 if split == "train" else 80)}  # fmt: skip
    for split in ("train", "quiz", "validation", "test"):
        assert found.splits[split].features["label"].dtype == "float32"
        for row in found.splits[split]:
            assert row["label"] == known[row["text"], row["text_pair"]]


def test_rows_with_scores_are_drawn_at_random_from_low_to_high(tmp_path: Path) -> None:
    lines = ["sentence1\tsentence2\tlabel"]
    lines += [f"a {n}\tb {n}\t{n / 100}" for n in range(500)]
    (tmp_path / "train.tsv").write_text("\n".join(lines) + "\n")
    found = prepared(tmp_path, f"dataset.path={tmp_path}", "dataset.split.test=200")
    scores = np.array(found.splits["test"]["label"])
    # By class, each of the 500 different scores would be a class, and the lowest be drawn.
    assert abs(scores.mean() - 2.5) < 0.4
    assert scores.max() > 4.5


def test_fine_tuning_learns_the_score_and_transformers_loads_it(tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    found = regress(tmp_path, "finetune")
    test, folder = found["metrics"]["test"], tmp_path / "finetune"
    assert found["calibration"] is None  # scores have no probabilities
    labels, answers = predictions(folder, "test")
    assert test["pearson"] == pytest.approx(stats.pearsonr(answers, labels).statistic, abs=1e-5)
    assert test["spearman"] == pytest.approx(stats.spearmanr(answers, labels).statistic, abs=1e-5)
    assert test["pearson"] == pytest.approx(np.corrcoef(answers, labels)[0, 1], abs=1e-5)
    assert test["low"] < test["pearson"] < test["high"]
    assert test["pearson"] > 0.8
    # In the labels' own unit, not only in step with them.
    assert ((answers - labels) ** 2).mean() < labels.var()
    assert "accuracy" not in test
    assert test["majority"] is None
    assert found["primary_metric"] == "pearson"
    assert found["formula"] == "L = MSE(y, s)"
    model = AutoModelForSequenceClassification.from_pretrained(folder / "student").eval()
    assert (model.config.num_labels, model.config.problem_type) == (1, "regression")
    first, second, _ = rows_of("validation", 80)[3]
    inputs = AutoTokenizer.from_pretrained(folder / "student")(first, second, return_tensors="pt")
    with torch.no_grad():
        answer = model(**inputs, labels=torch.tensor([2.0]))
    _, ours = predictions(folder, "validation")
    assert answer.logits.item() == pytest.approx(ours[3], abs=1e-4)
    assert answer.loss.item() == pytest.approx((ours[3] - 2.0) ** 2, abs=1e-3)


def test_a_student_is_distilled_from_scores_and_its_gain_is_paired_over_rows(
    tmp_path: Path,
) -> None:
    found = regress(tmp_path, "kd", *KD, "teacher.near_chance=refuse", "method.alpha=0.9")
    gain = found["baseline"]["gain"]["test"]
    ours, theirs = found["metrics"]["test"], found["baseline"]["metrics"]["test"]
    assert gain["difference"] == pytest.approx(ours["pearson"] - theirs["pearson"], abs=1e-6)
    assert gain["low"] <= gain["difference"] <= gain["high"]
    assert found["agreement"]["test"]["with_teachers"] > 0.5
    assert found["teachers"][0]["metrics"]["validation"]["pearson"] > 0.8
    assert found["formula"].startswith("L = 0.1·MSE(y, s) + 0.9·1/C·‖s − t‖²")
    log = (tmp_path / "kd" / "log.txt").read_text()
    assert "pearson times 100" in log
    assert " spearman " in log
    assert "validation pearson" in log
    assert "accuracy" not in log
    assert "largest class" not in log
    card = (tmp_path / "kd" / "student" / "README.md").read_text()
    assert "accuracy" not in card
    assert "its one output is a score" in card
    (row,) = job_rows([a_job("0", read_result(tmp_path / "kd"))])
    assert row["pearson (test)"] == f"{100 * ours['pearson']:.2f}"
    assert row["gain"] == f"{100 * gain['difference']:+.2f}"


QUICK = (
    "training.epochs=1", "dataset.split.train=48", "dataset.split.quiz=16",
    "dataset.split.test=30", "dataset.split.validation=null",
)  # fmt: skip


@pytest.mark.parametrize(
    ("method", "overrides"),
    [
        ("metadistil", ["teacher=bert+roberta", "method.soft_loss=mse_logits"]),
        ("born_again", ["teacher=bert", "method.soft_loss=mse_logits", "method.generations=2"]),
        ("many_on_many", ["teacher=bert+roberta"]),
        ("mkd", ["teacher=bert+roberta"]),
        ("tmkd", ["teacher=bert+roberta"]),  # its first stage on the generated corpus, of classes
    ],
)
def test_other_methods_of_scores_run_to_their_tables(
    tmp_path: Path, method: str, overrides: list[str]
) -> None:
    found = regress(tmp_path, method, *overrides, settings=QUICK)
    assert -1 <= found["metrics"]["test"]["pearson"] <= 1
    assert found["baseline"]["gain"]["test"]["low"] <= found["baseline"]["gain"]["test"]["high"]
    _, answers = predictions(tmp_path / method, "test")
    assert np.isfinite(answers).all()
    assert np.ptp(answers) > 0
    if found["golden_head"]:
        assert found["golden_head"]["test"]["same_answers"] <= 1


def test_the_main_metric_keeps_the_epoch(tmp_path: Path) -> None:
    found = regress(
        tmp_path, "finetune", "training.select=best_validation", "training.epochs=4",
        "dataset.metrics=[spearman]",
    )  # fmt: skip
    lines = (tmp_path / "finetune" / "metrics.jsonl").read_text().splitlines()
    epochs = [point for point in map(json.loads, lines) if "epoch" in point]
    best = max(epochs, key=lambda point: (point["spearman"], -point["epoch"]))
    assert found["training"]["kept_epoch"] == best["epoch"]
    assert found["primary_metric"] == "spearman"


def test_a_teacher_with_random_scores_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="not better than chance") as caught:
        regress(
            tmp_path, "kd", *KD, "teacher.near_chance=refuse",
            "teacher.training.learning_rate=1e-9", "teacher.training.epochs=1",
        )  # fmt: skip
    assert caught.value.key == "teacher.near_chance"


def test_a_teacher_that_scores_on_another_scale_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    regress(tmp_path, "finetune", "training.epochs=2")
    student = tmp_path / "finetune" / "student"
    weights = load_file(student / "model.safetensors")
    for name in ("classifier.weight", "classifier.bias"):
        weights[name] = weights[name] / 5 - 1
    save_file(weights, student / "model.safetensors", {"format": "pt"})
    with pytest.raises(Refused, match="times the squared error of the labels' mean") as caught:
        regress(tmp_path, "kd", *KD, "teacher.near_chance=refuse", f"teacher.models=[{student}]")
    assert caught.value.key == "teacher.near_chance"


REGRESSION = ("dataset=stsb", "dataset.generate=0")
REFUSED = {
    "a soft loss of classes": ("kd", ["method.soft_loss=kl"], "method.soft_loss"),
    "mutual learning": ("mutual", [], "dataset.task"),
    "noisy students": ("noisy_student", [], "dataset.task"),
    "accuracy": ("finetune", ["dataset.metrics=[accuracy]"], "dataset.metrics"),
    "a ranking": ("finetune", ["dataset.metrics=[map]", "dataset.group=x"], "dataset.metrics"),
    "names of classes": ("finetune", ["dataset.label_names=[a,b]"], "dataset.label_names"),
    "a generated corpus": ("finetune", ["dataset.generate=100"], "dataset.task"),
    "a mean of probabilities": ("kd", [*KD, "teacher.combine=prob_mean"], "teacher.combine"),
    "votes": ("kd", [*KD, "teacher.weigh_by=validation"], "teacher.weigh_by"),
    "temperatures": ("kd", ["teacher=bert", "teacher.temperatures=[2]"], "teacher.temperatures"),
    "accuracy under noise": ("finetune", ["evaluation.robustness=[0.1]"], "evaluation.robustness"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_scores_do_not_have_is_refused_before_anything_is_read(
    tmp_path: Path, case: str
) -> None:
    method, overrides, key = REFUSED[case]
    with pytest.raises(Refused) as caught:
        planned(shrunk(tmp_path, f"method={method}", *REGRESSION, *overrides), method)
    assert caught.value.key == key


def test_the_refusal_of_a_soft_loss_names_the_one_that_serves(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"method\.soft_loss=mse_logits"):
        planned(shrunk(tmp_path, "method=kd", *REGRESSION))


def test_correlations_are_refused_of_classes(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        planned(shrunk(tmp_path, "method=finetune", "dataset.metrics=[pearson]"), "finetune")
    assert caught.value.key == "dataset.metrics"


BAD_LABELS = {
    "text": ["high", "2.5"],
    "infinite": ["inf", "2.5"],
    "one score for all": ["2.5", "2.5"],
}


@pytest.mark.parametrize("case", BAD_LABELS)
def test_labels_that_are_no_scores_are_refused(tmp_path: Path, case: str) -> None:
    labels = [*BAD_LABELS[case], *["2.5"] * 60]
    lines = ["sentence1\tsentence2\tlabel"]
    lines += [f"a {n}\tb {n}\t{label}" for n, label in enumerate(labels)]
    (tmp_path / "train.tsv").write_text("\n".join(lines) + "\n")
    with pytest.raises(Refused) as caught:
        prepared(tmp_path, f"dataset.path={tmp_path}")
    assert caught.value.key == "dataset.label"


def test_a_held_out_file_of_one_score_is_refused(tmp_path: Path) -> None:
    for split, labels in (("train", range(200)), ("validation", [3] * 20)):
        lines = ["sentence1\tsentence2\tlabel"]
        lines += [f"{split} {n}\tb {n}\t{label}" for n, label in enumerate(labels)]
        (tmp_path / f"{split}.tsv").write_text("\n".join(lines) + "\n")
    with pytest.raises(Refused, match="All validation rows") as caught:
        prepared(tmp_path, f"dataset.path={tmp_path}")
    assert caught.value.key == "dataset.label"


@pytest.mark.parametrize("mark", ["-1", "-1.0"])
def test_rows_without_a_score_are_dropped_and_counted(tmp_path: Path, mark: str) -> None:
    lines = ["sentence1\tsentence2\tlabel"]
    lines += [f"a {n}\tb {n}\t{mark if n < 7 else n}" for n in range(300)]
    (tmp_path / "train.tsv").write_text("\n".join(lines) + "\n")
    found = prepared(tmp_path, f"dataset.path={tmp_path}", f"dataset.no_label='{mark}'")
    assert found.counts["dropped_without_label"] == 7
