"""A file of a model's answers teaches exactly as the model does."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file
from support.tiny import Bench, run

from distill_runner import load
from distill_runner.data.answers import read_answers
from distill_runner.errors import Refused
from distill_runner.serving.teach import Request, Taught, exact_number, teach
from distill_runner.tasks.classification import Classification

POOL = "bert-base-uncased"
# The texts without labels are a file's, and no labelled row is learnt from a file.
ASKED = ("dataset.split.train=64", "method.baseline=never")


def write_texts(path: Path, texts: list[str]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["text"], *([text] for text in texts)])
    return path


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts of no split, in a file."""
    words = ("a dull plot", "a warm film", "slow and long", "quick, light and warm", "no plot")
    texts = [f"{words[row % 5]} of {row} scenes{' and more' * (row % 7)}" for row in range(90)]
    return write_texts(tmp_path_factory.mktemp("texts") / "texts.csv", texts)


@pytest.fixture(scope="module")
def live(pool: Path, store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose student learnt the texts, and the labelled rows, from a live teacher."""
    folder = tmp_path_factory.mktemp("live") / "run"
    run(folder, store, "kd", "teacher=bert", f"dataset.unlabelled.path={pool}", *ASKED)
    return folder


def answered(live: Path, store: Path, file: Path, output: Path, teacher: str | None) -> Taught:
    request = Request(str(file), ("text",), output, teacher)
    return teach(load(live, store=store, device="cpu"), request, lambda *_: None)


def test_a_student_of_the_file_equals_a_student_of_the_model_bit_by_bit(
    live: Path, pool: Path, store: Path, tmp_path: Path
) -> None:
    # The same texts in the same order share the same batches, which decide the last digits.
    asked = (f"dataset.unlabelled.path={pool}", *ASKED)
    rows = Bench.make(store, "kd", ("teacher=bert", *asked)).runner.parts.data["task"].data
    labelled = write_texts(tmp_path / "labelled.csv", list(rows.splits["train"]["text"]))
    files = []
    for file in (pool, labelled):
        files.append(tmp_path / f"{file.stem}.jsonl")
        answered(live, store, file, files[-1], POOL)
    both = tmp_path / "both.jsonl"
    both.write_text("".join(file.read_text() for file in files))
    asked = ("teacher=file", f"teacher.path={both}", *asked)
    run(tmp_path / "run", store, "kd", *asked)
    mine, theirs = (
        load_file(one / "student" / "model.safetensors") for one in (tmp_path / "run", live)
    )
    assert all(mine[name].equal(theirs[name]) for name in theirs)
    own, other = (json.loads((one / "result.json").read_text()) for one in (tmp_path / "run", live))
    assert own["metrics"] == other["metrics"]


def test_the_file_holds_each_text_once_with_its_logits(
    live: Path, store: Path, tmp_path: Path
) -> None:
    file = write_texts(tmp_path / "texts.csv", ["a film", "", "two\nlines", "a film"])
    taught = answered(live, store, file, tmp_path / "answers.jsonl", None)
    assert taught == Taught(rows=4, answers=2, without_text=1)
    assert taught.repeated == 1
    found = read_answers(
        tmp_path / "answers.jsonl",
        task=Classification(),
        names=("negative", "positive"),
        pairs=False,
    )
    expected = load(live, store=store, device="cpu").logits(["a film", "two\nlines"])
    assert found.logits.tobytes() == expected.tobytes()


def test_the_same_command_writes_the_same_bytes(
    live: Path, pool: Path, store: Path, tmp_path: Path
) -> None:
    files = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    for file in files:
        answered(live, store, pool, file, POOL)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_every_float_reads_back_exactly() -> None:
    bits = np.random.default_rng(1).integers(0, 2**32, 20_000, dtype=np.uint32)
    values = bits.view(np.float32)
    for value in values[np.isfinite(values)]:
        assert np.float32(json.loads(exact_number(value))).tobytes() == value.tobytes()


def test_nothing_is_overwritten_and_a_failure_leaves_no_file(
    live: Path, pool: Path, store: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "answers.jsonl"
    kept.write_text("mine")
    with pytest.raises(Refused, match="exists already"):
        answered(live, store, pool, kept, None)
    assert kept.read_text() == "mine"
    empty = write_texts(tmp_path / "empty.csv", ["", " "])
    with pytest.raises(Refused, match="no text to answer"):
        answered(live, store, empty, tmp_path / "other.jsonl", None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answers.jsonl", "empty.csv"]


def test_an_unknown_teacher_is_refused_with_the_names(
    live: Path, pool: Path, store: Path, tmp_path: Path
) -> None:
    with pytest.raises(Refused, match=re.escape("one of bert-base-uncased")):
        answered(live, store, pool, tmp_path / "answers.jsonl", "roberta")
