"""A student loaded from its run folder answers as the run did."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.finished_runs import FILM, KINDS, Start, stored

import distill_runner
from distill_runner import Refused, Student


@pytest.mark.parametrize("kind", KINDS)
def test_a_loaded_student_answers_the_test_rows_as_its_run_did(kind: str, start: Start) -> None:
    folder = start(kind)
    student, expected = distill_runner.load(folder), stored(folder, KINDS[kind][1])
    assert student.logits(expected.texts) == pytest.approx(expected.logits, rel=1e-5, abs=1e-6)
    if kind == "of several labels":
        assert [
            "|".join(labels) for labels in student.predict(expected.texts)
        ] == expected.predicted
    elif kind != "of scores":
        assert student.predict(expected.texts) == expected.predicted
        shares = np.exp(expected.logits) / np.exp(expected.logits).sum(axis=1, keepdims=True)
        assert student.predict_proba(expected.texts) == pytest.approx(shares, abs=1e-5)


def test_one_text_alone_is_answered_as_among_others(start: Start) -> None:
    student = distill_runner.load(start("one"))
    texts = stored(start("one"), FILM).texts
    together = student.predict_proba(texts)
    for at in (0, 7, 49):
        assert student.predict_proba([texts[at]])[0] == pytest.approx(together[at], abs=1e-6)


def test_no_texts_have_no_answers(start: Start) -> None:
    student = distill_runner.load(start("one"))
    assert student.predict([]) == []
    assert student.predict_proba([]).shape == (0, 2)


def test_scores_have_no_probabilities(start: Start) -> None:
    student = distill_runner.load(start("of scores"))
    assert all(isinstance(score, float) for score in student.predict([("good", "film")]))
    with pytest.raises(Refused, match="no probabilities"):
        student.predict_proba([("good", "film")])


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        ("one", "a text"),
        ("one", 3),
        ("one", [None]),
        ("one", [("a", "b")]),
        ("one", ["\ud800"]),
        ("of pairs", ["a text"]),
        ("of pairs", [("a", "b", "c")]),
        ("of pairs", ["ab"]),
    ],
)
def test_what_is_no_list_of_its_texts_is_refused(kind: str, texts: object, start: Start) -> None:
    with pytest.raises(Refused, match="rule: a list of"):
        distill_runner.load(start(kind)).predict(texts)  # type: ignore[arg-type]


def test_teachers_are_asked_as_long_as_the_store_holds_them(start: Start, tmp_path: Path) -> None:
    student = distill_runner.load(start("one"))
    assert list(student.teachers) == ["bert-base-uncased"]
    teacher = student.teachers["bert-base-uncased"]
    assert teacher.predict_proba(["a good film"]).shape == (1, 2)
    elsewhere = distill_runner.load(start("one"), store=tmp_path)
    with pytest.raises(Refused, match="no longer holds the teacher bert-base-uncased"):
        _ = elsewhere.teachers


def test_a_run_folder_may_be_moved(start: Start, tmp_path: Path) -> None:
    shutil.copytree(start("one"), tmp_path / "moved")
    texts = ["a good film", "a bad film"]
    moved = distill_runner.load(tmp_path / "moved").logits(texts)
    assert (moved == distill_runner.load(start("one")).logits(texts)).all()


def _with_a_bit_less(folder: Path) -> None:
    weights = folder / "student" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")


def _without_its_config(folder: Path) -> None:
    (folder / "config.yaml").unlink()


def _with_other_heads(folder: Path) -> None:
    (folder / "student" / "soft_heads.safetensors").write_bytes(b"")


def _with_another_result(folder: Path) -> None:
    result = folder / "result.json"
    result.write_text(result.read_text().replace('"seed": 1', '"seed": 2'))


@pytest.mark.parametrize(
    "damage", [_with_a_bit_less, _without_its_config, _with_other_heads, _with_another_result]
)
def test_a_damaged_run_folder_is_refused(
    damage: Callable[[Path], None], start: Start, tmp_path: Path
) -> None:
    shutil.copytree(start("one"), tmp_path / "run")
    damage(tmp_path / "run")
    with pytest.raises(Refused, match="is not as the run left it"):
        distill_runner.load(tmp_path / "run")


def test_an_edited_card_and_files_beside_the_students_are_no_damage(
    start: Start, tmp_path: Path
) -> None:
    shutil.copytree(start("one"), tmp_path / "run")
    (tmp_path / "run" / "student" / "README.md").write_text("My model.")
    (tmp_path / "run" / "notes.txt").write_text("mine")
    assert isinstance(distill_runner.load(tmp_path / "run"), Student)


def test_what_is_no_finished_run_is_refused(start: Start, tmp_path: Path) -> None:
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    (unfinished / "files.json").write_text('{"program": "distill-run", "files": {}}')
    for folder, reason in (
        (tmp_path / "nowhere", "is not a folder"),
        (tmp_path, "is not a run folder"),
        (unfinished, "is not finished"),
        (start("one") / "student", "lies inside a run folder"),
    ):
        with pytest.raises(Refused, match=reason):
            distill_runner.load(folder)


def test_a_device_that_is_not_there_is_refused(start: Start) -> None:
    with pytest.raises(Refused, match="no device 'tpu'"):
        distill_runner.load(start("one"), device="tpu")


def test_a_student_needs_no_hydra(start: Start) -> None:
    lines = (
        "import sys, distill_runner\n"
        f"distill_runner.load({str(start('one'))!r}).predict(['a good film'])\n"
        "print([name for name in ('hydra', 'wandb', 'evaluate') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
