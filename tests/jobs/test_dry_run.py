"""A dry run finds what would stop the run, and downloads no weights."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import pytest
from support.hub import MODEL
from support.hub_server import Hub, closed_port
from support.tiny import run

from distill_runner.errors import HubUnreachable, Refused


@pytest.fixture
def reviews(tmp_path: Path) -> tuple[str, ...]:
    """Settings of a file whose two words the hub's model knows."""
    texts = [" ".join(words) for words in product(("good", "bad"), repeat=7)]
    rows = [f"{text},{'pos' if text.count('good') > 3 else 'neg'}" for text in texts]
    path = tmp_path / "reviews.csv"
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    sizes = ("train=null", "quiz=0", "validation=20", "test=20")
    return (
        *("dataset=files", f"dataset.path={path}", "dataset.generate=0"),
        *(f"dataset.split.{size}" for size in sizes),
    )


def test_a_dry_run_asks_the_hub_only_for_config_and_tokenizer(
    served: Hub,
    reviews: tuple[str, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store, asked = tmp_path / "store", (*reviews, f"student.model={MODEL}", "training.epochs=1")
    run(tmp_path / "dry", store, "finetune", *asked, "dry_run=true")
    assert "config.json" in served.files_sent
    assert "tokenizer.json" in served.files_sent
    assert not [name for name in served.files_sent if name.endswith((".safetensors", ".bin"))]
    printed = capsys.readouterr().out
    assert "88 train, 20 validation and 20 test" in printed
    assert "classes: 2 (neg, pos)" in printed
    assert "found in the store" not in printed
    run(tmp_path / "run", store, "finetune", *asked)
    assert "model.safetensors" in served.files_sent
    capsys.readouterr()
    run(tmp_path / "dry", store, "finetune", *asked, "dry_run=true")
    assert "found in the store: finetune" in capsys.readouterr().out


@pytest.mark.usefixtures("served")
def test_a_dry_run_refuses_a_hub_model_that_does_not_fit(tmp_path: Path) -> None:
    asked = (f"student.model={MODEL}", "dry_run=true")
    with pytest.raises(Refused, match="unknown to its tokenizer"):
        run(tmp_path / "dry", tmp_path / "store", "finetune", *asked)


def test_a_dry_run_refuses_a_hub_model_that_has_no_weights(
    served: Hub,
    tmp_path: Path,
) -> None:
    for name in ("model.safetensors", "pytorch_model.bin"):
        (served.root / "models" / MODEL / name).unlink()
    with pytest.raises(Refused, match="has no weights"):
        run(
            *(tmp_path / "dry", tmp_path / "store", "finetune"),
            *(f"student.model={MODEL}", "dry_run=true"),
        )


def test_a_dry_run_says_which_models_it_could_not_check_and_shows_the_plan(
    point_at: object,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    point_at(closed_port())  # type: ignore[operator]
    asked = (f"teacher.models=[{MODEL}]", "training.max_steps=5")
    run(tmp_path / "dry", tmp_path / "store", "kd", *asked, "dry_run=true")
    printed = capsys.readouterr().out
    assert printed.count(f"NOT CHECKED: {MODEL}. {MODEL} is in no local folder") == 1
    assert "40 validation" in printed
    assert "?" not in printed.split("rows of")[0]
    with pytest.raises(HubUnreachable):
        run(tmp_path / "run", tmp_path / "store", "kd", *asked)


def test_a_dry_run_without_its_data_checks_the_models_and_shows_the_plan(
    point_at: object,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    point_at(closed_port())  # type: ignore[operator]
    asked = ("dataset=mrpc", "dataset.generate=0", "dry_run=true")
    run(tmp_path / "dry", tmp_path / "store", "finetune", *asked)
    printed = capsys.readouterr().out
    assert "NOT CHECKED: nyu-mll/glue. nyu-mll/glue is in no local folder" in printed
    assert "finetune" in printed


def test_a_student_of_another_family_is_refused_by_the_choice_that_was_typed(
    tmp_path: Path,
) -> None:
    asked = ("teacher=bert", "student=roberta", "dry_run=true")
    with pytest.raises(Refused, match="another student or another teacher") as caught:
        run(tmp_path / "dry", tmp_path / "store", "distilbert", *asked)
    assert caught.value.key == "student.model"


def test_a_dry_run_knows_the_steps_on_a_generated_corpus(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("dataset.split.train=null", "teacher=bert", "dry_run=true")
    run(tmp_path / "dry", tmp_path / "store", "kd", *asked)
    plan = capsys.readouterr().out.partition("rows of")[0]
    assert "bert-base-uncased" in plan
    assert "?" not in plan


def test_rows_that_are_left_out_are_said_and_stand_in_the_result(
    reviews: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (tmp_path / "reviews.csv").open("a") as file:
        file.write(",pos\nodd,\n")
    asked = (*reviews, "dataset.missing=drop", "training.max_steps=2", "method.baseline=never")
    run(tmp_path / "run", tmp_path / "store", "finetune", *asked)
    assert "left out of reviews.csv: 1 without text, 1 without label" in capsys.readouterr().out
    found = json.loads((tmp_path / "run" / "result.json").read_text())
    assert found["data"]["left_out"] == {"reviews.csv": {"without text": 1, "without label": 1}}
