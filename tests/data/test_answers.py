"""A file of answers is read exactly, and each fault in it is one message with the line."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset
from support.answers import NAMES, Answer, write_lines

from distill_runner.data.answers import Answers, read_answers
from distill_runner.data.texts import text_sha256
from distill_runner.errors import Refused
from distill_runner.tasks.base import Task
from distill_runner.tasks.classification import Classification
from distill_runner.tasks.multi_label import MultiLabel
from distill_runner.tasks.regression import Regression

TEXT = "a good film"


def read(
    folder: Path,
    *lines: Answer,
    task: Task | None = None,
    names: tuple[str, ...] = NAMES,
    pairs: bool = False,
) -> Answers:
    path = write_lines(folder / "answers.jsonl", lines)
    return read_answers(path, task=task or Classification(), names=names, pairs=pairs)


def table(*texts: str) -> Dataset:
    ids = [f"train-{at}" for at in range(len(texts))]
    return Dataset.from_dict({"id": ids, "text": list(texts)})


def test_a_digest_is_that_of_the_texts_bytes() -> None:
    assert text_sha256(["größer"]) == hashlib.sha256("größer".encode()).hexdigest()
    pair = hashlib.sha256('["ä", "b"]'.encode()).hexdigest()
    assert text_sha256(["ä", "b"]) == pair == text_sha256(("ä", "b"))


def test_a_row_is_found_by_its_text_its_digest_or_its_id(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        {"text": "one", "label": "negative"},
        {"text_sha256": text_sha256(["two"]), "label": "positive", "id": "not looked at"},
        {"id": "train-2", "label": "negative", "model": "kept aside"},
    )
    assert found.positions(table("one", "two", "three", "four")).tolist() == [0, 1, 2, -1]


def test_logits_of_32_bits_come_back_exactly_in_any_order_of_classes(tmp_path: Path) -> None:
    logits = np.array([0.1, -1 / 3], dtype=np.float32)
    found = read(
        tmp_path,
        {"classes": ["positive", "negative"]},
        {"text": TEXT, "logits": [float(logits[1]), float(logits[0])]},
        {"text": "another", "logits": {"positive": 2.5, "negative": -1}},
        {"text": "own order", "logits": [1, 2], "classes": list(NAMES)},
    )
    assert found.logits[0].tobytes() == logits.tobytes()
    assert found.logits[1:].tolist() == [[-1.0, 2.5], [1.0, 2.0]]


def test_a_label_stands_for_a_certain_answer_with_a_floor(tmp_path: Path) -> None:
    found = read(tmp_path, {"text": TEXT, "label": "positive"})
    total = 1 + 1e-6
    expected = [math.log(1e-6 / total), math.log(1 / total)]
    assert found.logits[0].tolist() == pytest.approx(expected, rel=1e-6)
    assert found.has_labels


def test_probabilities_stand_for_their_logarithms(tmp_path: Path) -> None:
    found = read(tmp_path, {"text": TEXT, "probabilities": {"negative": 0.2, "positive": 0.8}})
    assert found.logits[0].tolist() == pytest.approx([math.log(0.2), math.log(0.8)], rel=1e-6)
    assert not found.has_labels


def test_a_set_of_labels_and_a_score_are_answers_of_their_tasks(tmp_path: Path) -> None:
    several = read(
        tmp_path, {"text": TEXT, "label": ["b"]}, task=MultiLabel(), names=("a", "b", "c")
    )
    certain = math.log(1e6 - 1)
    assert several.logits[0].tolist() == pytest.approx([-certain, certain, -certain], rel=1e-6)
    score = read(tmp_path, {"text": "x", "label": 2.5}, task=Regression(), names=("score",))
    assert score.logits.tolist() == [[2.5]]
    assert not score.has_labels


def test_two_texts_name_a_row_of_pairs(tmp_path: Path) -> None:
    found = read(tmp_path, {"text": "a", "text_pair": "b", "label": "positive"}, pairs=True)
    rows = Dataset.from_dict({"id": ["1", "2"], "text": ["a", "b"], "text_pair": ["b", "a"]})
    assert found.positions(rows).tolist() == [0, -1]


def test_equal_doubles_are_kept_once_and_others_are_refused_with_both_lines(
    tmp_path: Path,
) -> None:
    one: Answer = {"text": TEXT, "label": "positive"}
    assert read(tmp_path, one, one).repeated == 1
    with pytest.raises(Refused) as refused:
        read(tmp_path, one, {"text": "x", "label": "negative"}, {**one, "label": "negative"})
    assert "line 3 and line 1 answer one row differently" in refused.value.what


FAULTS: dict[str, tuple[Answer, str]] = {
    "an unknown class": ({"label": "god"}, "'god' is no class of the data"),
    "no answer": ({}, "it has no answer"),
    "two answers": ({"label": "positive", "logits": [1, 2]}, "label and logits"),
    "too few outputs": ({"logits": [1], "classes": list(NAMES)}, "the data have 2 outputs"),
    "no order": ({"logits": [1, 2]}, "no line names their order"),
    "a class too few": ({"probabilities": {"positive": 1}}, "'negative' is missing"),
    "NaN": ({"logits": {"negative": math.nan, "positive": 1}}, "not finite"),
    "beyond 32 bits": ({"logits": {"negative": 1e39, "positive": 1}}, "not finite"),
    "above 1": ({"probabilities": {"negative": 0, "positive": 1.5}}, "not in 0..1"),
    "a sum of 2": ({"probabilities": {"negative": 1, "positive": 1}}, "sum to 2"),
    "text for a number": ({"logits": {"negative": "1", "positive": 1}}, "is no number"),
    "another digest": ({"text_sha256": "0" * 64, "label": "positive"}, "not the digest"),
    "a pair": ({"text_pair": "b", "label": "positive"}, "the rows of the data have one text"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_with_its_line(fault: str, tmp_path: Path) -> None:
    line, message = FAULTS[fault]
    with pytest.raises(Refused) as refused:
        read(tmp_path, {"text": "fine", "label": "positive"}, {"text": TEXT, **line})
    assert (refused.value.key, message in refused.value.what) == ("teacher.path", True)
    assert "line 2" in refused.value.what


def test_a_line_that_names_no_row_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="it names no row"):
        read(tmp_path, {"label": "positive"})


@pytest.mark.parametrize("content", ["", '{"text": ', "[1]\n", json.dumps({"classes": [*NAMES]})])
def test_a_file_without_answers_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text(content)
    with pytest.raises(Refused) as refused:
        read_answers(path, task=Classification(), names=NAMES, pairs=False)
    assert refused.value.key == "teacher.path"
