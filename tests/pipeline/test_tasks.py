"""Every conf/dataset/*.yaml composes and fits files laid out as the hub has them."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support.results import a_baseline, a_job, a_lost_job, a_result, a_score
from support.tiny import composed, run

from distill_runner.config import schema
from distill_runner.config.compose import option_names, to_dataclasses
from distill_runner.data.load import Prepared, prepare
from distill_runner.errors import Refused
from distill_runner.hub.locate import locate_dataset
from distill_runner.planning.setting_checks import check_settings
from distill_runner.report.columns import columns_of, notes
from distill_runner.report.seed_table import seed_rows
from distill_runner.report.sweeps import job_rows
from distill_runner.report.tables import fit_width, sweep_table, table_width
from distill_runner.results.files import Job, read_result
from distill_runner.results.schema import BaselineResult

DATASETS = option_names("dataset")
# The text columns and the class names of the hub's files, in the hub's order.
HUB = {
    "sst2": (["sentence"], ["negative", "positive"]),
    "cola": (["sentence"], ["unacceptable", "acceptable"]),
    "mrpc": (["sentence1", "sentence2"], ["not_equivalent", "equivalent"]),
    "qqp": (["question1", "question2"], ["not_duplicate", "duplicate"]),
    "rte": (["sentence1", "sentence2"], ["entailment", "not_entailment"]),
    "qnli": (["question", "sentence"], ["entailment", "not_entailment"]),
    "mnli": (["premise", "hypothesis"], ["entailment", "neutral", "contradiction"]),
    "snli": (["premise", "hypothesis"], ["entailment", "neutral", "contradiction"]),
    "wikiqa": (["question", "answer"], ["0", "1"]),
}
FOLDERS = {"snli": "snli", "wikiqa": "wiki_qa"}
WORDS = ["plain", "bright", "film", "river", "stone", "old", "green", "house", "quick", "road"]
SMALL = (
    "dataset.split.train=60",
    "dataset.split.quiz=12",
    "dataset.split.test=30",
    "dataset.max_tokens=24",
)


def rows_of(name: str, prefix: str, count: int, *, hidden: bool = False) -> dict[str, list[Any]]:
    """Rows whose first text is shared by three, and whose label the last word gives away."""
    draw = random.Random(f"{name} {prefix}")
    texts, names = HUB[name]
    columns: dict[str, list[Any]] = {column: [] for column in texts}
    labels = [n % len(names) for n in range(count)]
    for n, label in enumerate(labels):
        said = f"{' '.join(draw.sample(WORDS, 3))} {prefix} {n} ends {names[label]}"
        first = f"{prefix} text number {n // 3}" if len(texts) == 2 else said
        for column, text in zip(texts, (first, said), strict=False):
            columns[column].append(text)
    return {**columns, "label": [-1] * count if hidden else labels, "idx": list(range(count))}


def write(folder: Path, stem: str, rows: dict[str, list[Any]], names: Sequence[str]) -> None:
    import datasets

    table = datasets.Dataset.from_dict(rows)
    table = table.cast_column("label", datasets.ClassLabel(names=list(names)))
    folder.mkdir(parents=True, exist_ok=True)
    table.to_parquet(folder / f"{stem}-00000-of-00001.parquet")


def lay_out(root: Path, name: str) -> Path:
    """The files of one data set as the hub has them, few rows in each."""
    folder, names = root / FOLDERS.get(name, f"glue/{name}"), HUB[name][1]
    write(folder, "train", rows_of(name, "train", 180), names)
    held_out = ["validation_matched", "validation_mismatched"] if name == "mnli" else ["validation"]
    for stem in held_out:
        write(folder, stem, rows_of(name, stem, 45), names)
    if name != "mnli":
        labelled = name in FOLDERS
        write(folder, "test", rows_of(name, "test", 30, hidden=not labelled), names)
    return folder


def settings_of(name: str, *overrides: str) -> schema.Dataset:
    config = to_dataclasses(composed(f"dataset={name}", *overrides))
    check_settings(config)
    return config.dataset


def prepared(name: str, tmp_path: Path, *overrides: str) -> Prepared:
    settings = settings_of(name, *SMALL, *overrides)
    assert settings.hub is not None
    folder = locate_dataset(
        settings.hub, subset=settings.subset, datasets_dir=tmp_path, key="dataset.hub"
    )
    return prepare(settings, source=folder, store_dir=tmp_path / "store")


@pytest.mark.parametrize("name", DATASETS)
def test_every_data_set_composes_and_is_known_here(name: str) -> None:
    settings = settings_of(name, *(["dataset.path=x"] if name == "files" else []))
    assert settings.name == name
    assert name in (*HUB, "stsb") or settings.hub is None  # scores: test_regression.py


@pytest.mark.parametrize("name", HUB)
def test_columns_and_class_names_are_those_of_the_hubs_files(name: str, tmp_path: Path) -> None:
    lay_out(tmp_path, name)
    found, settings = prepared(name, tmp_path), settings_of(name)
    assert set(found.splits) >= {"train", "quiz", "validation", "test"}
    pairs = ["text_pair"] if len(HUB[name][0]) == 2 else []
    groups = ["group"] if settings.group else []
    assert found.splits["train"].column_names == ["id", "text", *pairs, "label", *groups]
    if name != "wikiqa":
        assert list(found.label_names) == HUB[name][1]
    for row in found.splits["train"]:
        assert row[(["text", *pairs])[-1]].endswith(HUB[name][1][row["label"]])
    if settings.group:
        parts = [set(part["group"]) for part in found.splits.values()]
        assert not [1 for n, one in enumerate(parts) for other in parts[n + 1 :] if one & other]


def test_wikiqa_works_from_a_folder_of_other_column_names(tmp_path: Path) -> None:
    for split, count in (("train", 180), ("validation", 30)):
        rows = [f"is it {split} {n // 6}?\tit is {n}\t{int(n % 6 == 2)}" for n in range(count)]
        lines = "\n".join(["question\tsentence\tlabel", *rows])
        (tmp_path / f"{split}.tsv").write_text(lines + "\n")
    settings = settings_of(
        "wikiqa", f"dataset.path={tmp_path}", "dataset.text=[question,sentence]",
        "dataset.split.quiz=12",
    )  # fmt: skip
    found = prepare(settings, source=tmp_path, store_dir=tmp_path / "store")
    assert found.counts["quiz"] == 12
    assert found.counts["test"] == 18
    assert found.label_names == ("wrong", "right")
    assert [metric.value for metric in settings.metrics] == ["map", "mrr", "f1"]


@pytest.mark.parametrize("kind", ["parquet", "tsv"])
def test_unlabelled_rows_are_dropped_counted_and_keep_the_others_ids(
    tmp_path: Path, kind: str
) -> None:
    folder = lay_out(tmp_path, "snli")
    for split, rows in (("train", 180), ("validation", 45)):
        columns = rows_of("snli", split, rows)
        columns["label"][4:9] = [-1] * 5
        (folder / f"{split}-00000-of-00001.parquet").unlink()
        if kind == "parquet":
            write(folder, split, columns, HUB["snli"][1])
        else:
            lines = ["\t".join(columns), *("\t".join(map(str, row)) for row in
                     zip(*columns.values(), strict=True))]  # fmt: skip
            (folder / f"{split}.tsv").write_text("\n".join(lines) + "\n")
    found = prepared("snli", tmp_path)
    assert found.counts["dropped_without_label"] == 10
    assert len(found.splits["validation"]) == 40
    for split in found.splits.values():
        assert set(split["label"]) <= {0, 1, 2}
        for row in split:
            file, number = row["id"].rsplit("-", 1)
            assert f" {file} {number} ends " in row["text_pair"]
            assert file == "test" or not 4 <= int(number) < 9


def test_a_file_without_any_label_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("text\tlabel\none\t-1\ntwo\t-1\n")
    settings = settings_of("files", f"dataset.path={tmp_path}", "dataset.no_label=-1")
    with pytest.raises(Refused) as caught:
        prepare(settings, source=tmp_path, store_dir=tmp_path / "store")
    assert caught.value.key == "dataset.no_label"


def test_an_extra_split_of_ones_own_is_a_split(tmp_path: Path) -> None:
    for stem, count in (("train", 60), ("validation_hard", 8)):
        lines = [f"{stem} text {n}\t{n % 2}" for n in range(count)]
        (tmp_path / f"{stem}.tsv").write_text("\n".join(["text\tlabel", *lines]) + "\n")
    asked = (f"dataset.path={tmp_path}", "dataset.extra=[hard]")
    found = prepare(settings_of("files", *asked), source=tmp_path, store_dir=tmp_path / "store")
    assert found.counts["hard"] == 8


def test_an_extra_split_without_a_file_or_without_labels_is_refused(tmp_path: Path) -> None:
    folder = lay_out(tmp_path, "mnli")
    (file,) = folder.glob("validation_mismatched*")
    file.unlink()
    for hidden in (None, rows_of("mnli", "validation_mismatched", 6, hidden=True)):
        if hidden:
            write(folder, "validation_mismatched", hidden, HUB["mnli"][1])
        with pytest.raises(Refused) as caught:
            prepared("mnli", tmp_path)
        assert caught.value.key == "dataset.extra"
    assert "mismatched" not in prepared("mnli", tmp_path, "dataset.extra=[]").splits


def test_a_ranking_without_anything_to_find_is_refused(tmp_path: Path) -> None:
    folder = lay_out(tmp_path, "wikiqa")
    rows = rows_of("wikiqa", "validation", 9)
    write(folder, "validation", rows | {"label": [0] * 9}, ["0", "1"])
    with pytest.raises(Refused, match="validation") as caught:
        prepared("wikiqa", tmp_path)
    assert caught.value.key == "dataset.metrics"


def result_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return found


def tiny_run(tmp_path: Path, name: str, method: str, *overrides: str) -> dict[str, Any]:
    lay_out(tmp_path, name)
    return rerun(tmp_path, method, name, method, *overrides)


def rerun(tmp_path: Path, folder: str, name: str, method: str, *overrides: str) -> dict[str, Any]:
    asked = (f"dataset={name}", f"paths.datasets={tmp_path}", "dataset.generate=0", *SMALL)
    own = ("dataset.split.validation=null", *overrides)
    run(tmp_path / folder, tmp_path / "store", method, *asked, *own)
    return result_of(tmp_path / folder)


def test_mismatched_is_scored_and_never_selected_on(tmp_path: Path) -> None:
    found = tiny_run(
        tmp_path, "mnli", "finetune", "training.select=best_validation", "training.epochs=3",
        "training.learning_rate=0.02",
    )  # fmt: skip
    assert set(found["metrics"]) == {"test", "mismatched", "selection_on_validation"}
    assert found["metrics"]["mismatched"]["n"] == 45
    assert (tmp_path / "finetune" / "predictions" / "mismatched.csv").is_file()
    lines = (tmp_path / "finetune" / "metrics.jsonl").read_text().splitlines()
    epochs = [point for point in map(json.loads, lines) if "epoch" in point]
    best = max(epochs, key=lambda point: (point["accuracy"], -point["epoch"]))
    assert found["training"]["kept_epoch"] == best["epoch"]
    assert not [name for point in epochs for name in point if "mismatched" in name]
    assert "mismatched" in (tmp_path / "finetune" / "log.txt").read_text()
    assert "| mismatched |" in (tmp_path / "finetune" / "student" / "README.md").read_text()


def test_the_main_metric_keeps_the_epoch_and_has_a_column(tmp_path: Path) -> None:
    found = tiny_run(
        tmp_path, "wikiqa", "kd", "training.select=best_validation", "training.epochs=4",
        "teacher=bert", "training.learning_rate=0.02", "dataset.metrics=[mrr,map]",
    )  # fmt: skip
    lines = (tmp_path / "kd" / "metrics.jsonl").read_text().splitlines()
    points = [json.loads(line) for line in lines]
    epochs = [point for point in points if "epoch" in point and point["stage"] == "kd"]
    best = max(epochs, key=lambda point: (point["mrr"], -point["epoch"]))
    assert found["training"]["kept_epoch"] == best["epoch"]
    assert found["metrics"]["selection_on_validation"]["mrr"] == pytest.approx(best["mrr"])
    test = found["metrics"]["test"]
    assert {"accuracy", "low", "high", "majority", "map", "mrr", "questions"} <= set(test)
    assert list(columns_of([read_result(tmp_path / "kd")])) == ["mrr (test)", "map (test)"]
    log = (tmp_path / "kd" / "log.txt").read_text()
    assert " mrr " in log
    assert "Ranked: " in log
    assert "in a random order" in log


def test_other_metrics_of_the_same_run_train_nothing_again(tmp_path: Path) -> None:
    first = tiny_run(tmp_path, "cola", "finetune")
    again = rerun(tmp_path, "again", "cola", "finetune", "dataset.metrics=[f1]")
    assert not [name for name, stage in again["stages"].items() if stage["trained_now"]]
    assert "matthews" in first["metrics"]["test"]
    assert "f1" in again["metrics"]["test"]


def finished(
    metrics: dict[str, float],
    scored_by: list[str],
    *overrides: str,
    without: BaselineResult | None = None,
) -> Job:
    result = a_result(
        key=" ".join(overrides),
        overrides=overrides,
        scored_by=tuple(scored_by),
        metrics={"test": a_score(0.9, reach=0.05, **metrics)},
        baseline=without,
    )
    return a_job(" ".join(overrides), result)


FAILED = a_lost_job("2", "failed", "an error", "seed=3")


def test_a_sweeps_table_has_a_column_for_each_named_metric() -> None:
    jobs = [
        finished({"matthews": 0.5}, ["matthews", "accuracy"], "seed=1"),
        finished({"matthews": 0.7}, ["matthews", "accuracy"], "seed=2"),
        FAILED,
    ]
    assert [row["matthews (test)"] for row in job_rows(jobs)] == ["50.00", "70.00", "–"]
    assert seed_rows(jobs)[0]["mean matthews (test)"] == "60.00"


def test_a_sweeps_table_has_the_gain_in_the_metric_that_decides() -> None:
    jobs = []
    for seed, (ours, theirs) in enumerate([(0.5, 0.45), (0.7, 0.61)], start=1):
        without = a_baseline({"test": a_score(0.9, matthews=theirs)})
        asked = {"matthews": ours}, ["matthews", "accuracy"], f"seed={seed}"
        jobs.append(finished(*asked, without=without))
    rows = job_rows(jobs)
    assert [row["matthews (test)"] for row in rows] == ["50.00", "70.00"]
    assert [row["no teacher"] for row in rows] == ["45.00", "61.00"]
    assert [row["gain"] for row in rows] == ["+5.00", "+9.00"]
    assert [row["accuracy (test)"] for row in rows] == ["90.00", "90.00"]
    (row,) = seed_rows(jobs)
    assert row["mean gain"] == "+7.00"


def test_tasks_that_are_judged_differently_have_their_metrics_named_in_one_table() -> None:
    jobs = []
    tasks: list[tuple[str, dict[str, float], list[str]]] = [
        ("sst2", {}, ["accuracy"]),
        ("cola", {"matthews": 0.5}, ["matthews"]),
        ("wikiqa", {"map": 0.6, "mrr": 0.7}, ["map", "mrr"]),
    ]
    for task, metrics, scored_by in tasks:
        for seed in (1, 2):
            jobs.append(finished(metrics, scored_by, f"seed={seed}", f"dataset={task}"))
    rows = job_rows(jobs)[::2]
    assert [row["metric"] for row in rows] == ["accuracy", "matthews", "map"]
    assert [row["test"] for row in rows] == ["90.00", "50.00", "60.00"]
    assert [row["95% of the test"] for row in rows] == ["85.0–95.0", "–", "–"]
    assert [row["accuracy (test)"] for row in rows] == ["90.00"] * 3
    assert [row["mrr (test)"] for row in rows] == ["–", "–", "70.00"]
    assert not {"matthews (test)", "map (test)"} & set(rows[0])  # they are under "test"
    over_seeds = seed_rows(jobs)
    assert [row["metric"] for row in over_seeds] == ["accuracy", "matthews", "map"]
    assert [row["mean test"] for row in over_seeds] == ["90.00", "50.00", "60.00"]


def test_a_sweep_of_which_no_job_finished_has_its_table_all_the_same() -> None:
    assert list(job_rows([FAILED])[0]) == [
        "job", "validation", "test", "gain", "no teacher", "parameters",
    ]  # fmt: skip


def test_the_names_of_a_sweeps_jobs_are_whole_in_the_table_over_seeds() -> None:
    jobs = []
    for at, (method, seed) in enumerate([("many_on_many", 1), ("many_on_many", 2), ("tmkd", 1)]):
        asked = (f"method={method}", f"seed={seed}")
        jobs.append(finished({"map": 0.6 + at / 10, "mrr": 0.7}, ["map", "mrr"], *asked))
    console = Console(width=110, file=io.StringIO())
    console.print(sweep_table("", seed_rows(jobs)))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "method=many_on_many" in shown
    assert "65.00" in shown


def test_a_narrow_terminal_gets_whole_columns_and_the_gain_with_them() -> None:
    job = {"job": "0: seed=1", "test": "90.00", "gain": "+1.00", "published": "91.2"}
    job |= {"parameters": "1,000,000", "mrr (test)": "70.00", "f1 (test)": "60.00"}
    whole = table_width(sweep_table("", [job]))
    assert fit_width([job], whole) == ([job], ())
    (row,), out = fit_width([job], whole - 1)
    assert list(row) == [*job][:-1]
    assert out == ("f1 (test)",)
    (row,), out = fit_width([job], 10)
    assert list(row) == ["job", "test", "gain", "published"]
    assert out == ("parameters", "mrr (test)", "f1 (test)")


def test_accuracy_adds_no_column_and_balanced_classes_no_line() -> None:
    plain = finished({"macro_f1": 0.9}, ["accuracy", "macro_f1"], "seed=1")
    assert list(job_rows([plain])[0]) == [
        "job", "validation", "test", "gain", "95% of the test",
        "no teacher", "parameters", "macro_f1 (test)",
    ]  # fmt: skip
    assert notes(a_result()) == []
    unbalanced = {"test": replace(a_score(0.9), majority=0.68)}
    assert notes(a_result(metrics=unbalanced)) == [
        "Always predicting the largest class has an accuracy of 68.00 on test."
    ]


def test_a_list_in_what_was_typed_is_in_the_tables_title(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Console().print(sweep_table("dataset.metrics=[map,mrr]", [{"job": 40 * "0"}]))
    assert "[map,mrr]" in capsys.readouterr().out
