"""Students learn from files of answers, and the result says what is known of such a teacher."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.answers import corpus, surely, write_answers, write_lines
from support.tiny import Bench, run
from support.training import job_of

from distill_runner.errors import Refused
from distill_runner.planning.stages import UNLABELLED
from distill_runner.training.loop import Loop

REST = "dataset.unlabelled.rest=true"
NO_LABELS = "dataset.split.train=0"
NO_BASELINE = "method.baseline=never"


def of_file(path: Path, *asked: str) -> tuple[str, ...]:
    return ("teacher=file", f"teacher.path={path}", *asked)


def result_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return found


def texts_of(bench: Bench, split: str) -> list[tuple[str, int]]:
    """The rows of a split, with the labels of the corpus, which a split may hide."""
    labels = dict(corpus())
    return [
        (text, labels[text]) for text in bench.runner.parts.data["task"].data.splits[split]["text"]
    ]


def bench_of(store: Path, path: Path, *asked: str) -> Bench:
    return Bench.make(store, "kd", of_file(path, *asked))


def test_labelled_rows_only_score_and_the_result_knows_no_model(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_answers(tmp_path / "llm.jsonl")
    run(tmp_path / "run", store, "kd", *of_file(path, REST, NO_LABELS))
    result, shown = result_of(tmp_path / "run"), capsys.readouterr().out
    (teacher,) = result["teachers"]
    assert {teacher[name] for name in ("parameters", "steps", "seed")} == {None}
    assert teacher["answers"]["answered"]["test"] == result["data"]["rows"]["test"] == 60
    assert set(teacher["metrics"]) == set(result["agreement"]) == {"validation", "test"}
    assert result["baseline"] is None
    assert result["data"]["rows"]["train"] == 0
    assert result["student"]["times_smaller"] == {}
    assert result["formula"] == "L = 2²·KL(t‖s)"
    assert "baseline: none, since no labelled row is learnt" in shown
    assert (tmp_path / "run" / "predictions" / "teachers" / "llm" / "test.csv").is_file()


def test_no_labelled_row_is_learnt(store: Path, tmp_path: Path) -> None:
    path = write_answers(tmp_path / "llm.jsonl")
    made = job_of(bench_of(store, path, REST, NO_LABELS), tmp_path / "job")
    assert made.rows.labelled is not None
    assert not made.rows.labelled.any()
    assert len(made.rows.ids) > 0


def test_where_it_does_not_answer_its_score_is_unknown(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    full = bench_of(store, write_answers(tmp_path / "all.jsonl"), REST)
    rows = [*texts_of(full, UNLABELLED), *texts_of(full, "test")[:7]]
    path = write_answers(tmp_path / "few.jsonl", rows)
    asked = of_file(path, REST, "teacher.missing=drop")
    run(tmp_path / "run", store, "kd", *asked)
    result, shown = result_of(tmp_path / "run"), capsys.readouterr().out
    (teacher,) = result["teachers"]
    assert (teacher["metrics"], teacher["chance"], result["agreement"]) == ({}, None, {})
    assert teacher["answers"]["answered"]["test"] == 7
    assert result["baseline"]["gain"]["test"]["transferred"] is None
    assert result["data"]["rows"]["train_without_answer"] == 64
    assert "lacks 64 of 64 train rows: left out of training" in shown
    assert "Unknown: the score of few, which answers 0 of 40 validation and 7 of 60" in shown
    assert not (tmp_path / "run" / "predictions" / "teachers").exists()
    card = (tmp_path / "run" / "student" / "README.md").read_text()
    assert f"Teacher few: answers in a file, SHA-256 {teacher['answers']['sha256'][:16]}" in card


def test_more_than_a_few_rows_without_an_answer_are_refused(store: Path, tmp_path: Path) -> None:
    full = bench_of(store, write_answers(tmp_path / "all.jsonl"), REST)
    path = write_answers(tmp_path / "few.jsonl", texts_of(full, UNLABELLED))
    with pytest.raises(Refused) as refused:
        bench_of(store, path, REST)
    assert refused.value.key == "teacher.missing"
    assert "64 of 64 train rows" in refused.value.what
    assert "dataset.split.train=0" in str(refused.value.way_out)


def test_a_file_of_other_texts_is_refused(store: Path, tmp_path: Path) -> None:
    path = write_answers(tmp_path / "other.jsonl", [("of another data set", 1)])
    with pytest.raises(Refused, match="answers no text of the data"):
        bench_of(store, path, "teacher.missing=drop")


def test_rows_without_an_answer_are_not_learnt_and_the_baseline_keeps_them(
    store: Path, tmp_path: Path
) -> None:
    full = bench_of(store, write_answers(tmp_path / "all.jsonl"))
    answered = texts_of(full, "train")[:40]
    bench = bench_of(store, write_answers(tmp_path / "few.jsonl", answered), "teacher.missing=drop")
    made = job_of(bench, tmp_path / "job")
    texts = dict(
        zip(
            *(
                bench.runner.parts.data["task"].data.splits["train"][name]
                for name in ("id", "text")
            ),
            strict=True,
        )
    )
    assert [texts[row] for row in made.rows.ids] == [text for text, _ in answered]
    counts = bench.runner.parts.data["task"].data.counts
    plan = bench.plan
    assert plan.rows_of(plan.stage("kd"), counts) == 40
    assert plan.rows_of(plan.stage("baseline"), counts) == 64


def test_labelled_rows_with_an_answer_are_learnt_by_both(store: Path, tmp_path: Path) -> None:
    made = job_of(bench_of(store, write_answers(tmp_path / "all.jsonl")), tmp_path / "job")
    batch = Loop(made).batches.make(0, 0, 0, np.arange(8))
    (update,) = made.algorithm.updates(batch)
    assert set(update.terms) == {"hard", "soft"}
    expected = np.log([0.875 if label else 0.125 for label in batch.labels.tolist()])
    assert batch.joined_teacher_logits(1.0)[:, 1].numpy() == pytest.approx(expected, rel=1e-5)


def test_two_files_teach_by_their_mean(store: Path, tmp_path: Path) -> None:
    one = write_answers(tmp_path / "one.jsonl")
    two = write_lines(
        tmp_path / "two.jsonl",
        ({"text": text, "logits": {"negative": 1.0, "positive": -1.0}} for text in dict(corpus())),
    )
    bench = Bench.make(store, "kd", ("teacher=file", f"teacher.path=[{one},{two}]"))
    made = job_of(bench, tmp_path / "job")
    batch = Loop(made).batches.make(0, 0, 0, np.arange(8))
    each = batch.teacher_logits()
    assert each[1].tolist() == [[1.0, -1.0]] * 8
    assert batch.joined_teacher_logits(1.0).tolist() == each.mean(dim=0).tolist()


def test_the_key_is_that_of_the_content_and_not_of_the_path(store: Path, tmp_path: Path) -> None:
    def key(path: Path, *asked: str) -> str:
        bench = bench_of(store, path, *asked)
        return bench.runner.key_of(bench.plan.stage(bench.plan.teachers[0]))

    one = key(write_answers(tmp_path / "one.jsonl"))
    assert key(write_answers(tmp_path / "two.jsonl")) == one
    assert key(tmp_path / "one.jsonl", "teacher.missing=drop") == one
    assert key(write_answers(tmp_path / "three.jsonl", answer=surely)) != one


def test_a_changed_file_is_read_again(store: Path, tmp_path: Path) -> None:
    path = write_answers(tmp_path / "answers.jsonl")
    before = bench_of(store, path)
    first = before.runner.key_of(before.plan.stage("kd"))
    write_answers(path, answer=surely)
    after = bench_of(store, path)
    assert after.runner.key_of(after.plan.stage("kd")) != first


def test_labels_have_no_raw_logits_to_regress_on(store: Path, tmp_path: Path) -> None:
    path = write_answers(tmp_path / "labels.jsonl", answer=surely)
    with pytest.raises(Refused) as refused:
        bench_of(store, path, "method.soft_loss=mse_logits").runner.preflight()
    assert refused.value.way_out == "method.soft_loss=kl"
    logits = write_answers(tmp_path / "probabilities.jsonl")
    bench_of(store, logits, "method.soft_loss=mse_logits").runner.preflight()


@pytest.mark.parametrize(
    "setting", ["teacher.training.epochs=7", "teacher.finetune=never", "teacher.seeds=[5]"]
)
def test_settings_of_a_model_are_refused(setting: str, store: Path, tmp_path: Path) -> None:
    path = write_answers(tmp_path / "answers.jsonl")
    with pytest.raises(Refused, match="teachers that are models"):
        run(tmp_path / "run", store, "kd", *of_file(path, setting))


def test_a_setting_of_labels_is_refused_where_none_is_learnt(store: Path, tmp_path: Path) -> None:
    path = write_answers(tmp_path / "answers.jsonl")
    with pytest.raises(Refused) as refused:
        run(tmp_path / "run", store, "kd", *of_file(path, REST, NO_LABELS, "method.alpha=0.75"))
    assert refused.value.key == "method.alpha"


def test_speed_and_noise_are_measured_of_models_alone(store: Path, tmp_path: Path) -> None:
    path = write_answers(tmp_path / "answers.jsonl")
    asked = of_file(path, NO_BASELINE, "evaluation.latency=true", "evaluation.robustness=[0.2]")
    run(tmp_path / "run", store, "kd", *asked)
    result = result_of(tmp_path / "run")
    assert list(result["latency"]["models"]) == ["student"]
    assert result["latency"]["against"] is None
    assert result["robustness"]["models"] == ["student"]
