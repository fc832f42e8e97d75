"""Texts without labels: read like the labelled ones, kept once, never a test row."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill_runner.config import schema
from distill_runner.data.load import Prepared, prepare
from distill_runner.data.unlabelled import HIDDEN, add_unlabelled
from distill_runner.errors import Refused


def settings(folder: Path, **unlabelled: object) -> schema.Dataset:
    (folder / "train.tsv").write_text(
        "question\tsentence\tlabel\n" + "".join(f"q{n}\ts{n}\t{n % 2}\n" for n in range(40)),
        encoding="utf-8",
    )
    return schema.Dataset(
        name="pairs",
        path=str(folder),
        text=["question", "sentence"],
        split=schema.Split(schema.SplitScheme.random, quiz=0, validation=5, test=5),
        unlabelled=schema.Unlabelled(**unlabelled),  # type: ignore[arg-type]
    )


def labelled(wanted: schema.Dataset, store: Path) -> Prepared:
    return prepare(wanted, source=Path(str(wanted.path)), store_dir=store)


def test_rows_of_the_test_split_and_repetitions_are_left_out(tmp_path: Path) -> None:
    texts = tmp_path / "pairs.tsv"
    wanted = settings(tmp_path, path=str(texts))
    prepared = labelled(wanted, tmp_path / "store")
    seen = prepared.splits["test"][0]
    rows = [(seen["text"], seen["text_pair"]), ("a", "b"), ("a", "b"), ("a", "c")]
    texts.write_text("question\tsentence\n" + "".join(f"{q}\t{s}\n" for q, s in rows))
    found = add_unlabelled(prepared, wanted, source=texts, store_dir=tmp_path / "store")
    table = found.splits["unlabelled"]
    assert list(zip(table["text"], table["text_pair"], strict=True)) == [("a", "b"), ("a", "c")]
    assert set(table["label"]) == {HIDDEN}
    assert (found.counts["unlabelled"], found.counts["dropped_unlabelled"]) == (2, 2)
    assert found.counts["train"] == prepared.counts["train"]


def test_rows_of_an_extra_split_are_left_out_too(tmp_path: Path) -> None:
    texts = tmp_path / "pairs.tsv"
    texts.write_text("question\tsentence\na\tb\nhard\tcase\n")
    wanted = settings(tmp_path, path=str(texts))
    (tmp_path / "validation_hard.tsv").write_text("question\tsentence\tlabel\nhard\tcase\t1\n")
    wanted.extra = ["hard"]
    prepared = labelled(wanted, tmp_path / "store")
    assert prepared.counts["hard"] == 1
    found = add_unlabelled(prepared, wanted, source=texts, store_dir=tmp_path / "store")
    assert list(found.splits["unlabelled"]["text"]) == ["a"]


def test_the_first_rows_can_be_asked_for_and_change_the_fingerprint(tmp_path: Path) -> None:
    texts = tmp_path / "pairs.tsv"
    texts.write_text("question\tsentence\n" + "".join(f"x{n}\ty\n" for n in range(9)))
    marks = []
    for count in (None, 4):
        wanted = settings(tmp_path, path=str(texts), rows=count)
        prepared = labelled(wanted, tmp_path / "store")
        found = add_unlabelled(prepared, wanted, source=texts, store_dir=tmp_path / "store")
        assert found.counts["unlabelled"] == (count or 9)
        marks.append(found.fingerprints["unlabelled"])
    assert marks[0] != marks[1]


def test_a_missing_column_is_refused_by_its_name(tmp_path: Path) -> None:
    texts = tmp_path / "pairs.tsv"
    texts.write_text("question\tanswer\nq\ta\n")
    wanted = settings(tmp_path, path=str(texts))
    prepared = labelled(wanted, tmp_path / "store")
    with pytest.raises(Refused, match="no column 'sentence'") as refused:
        add_unlabelled(prepared, wanted, source=texts, store_dir=tmp_path / "store")
    moved = refused.value.rename_key("dataset", "dataset.unlabelled")
    assert moved.key == "dataset.unlabelled.text"
    assert "dataset.unlabelled.text" in str(moved)


def test_generated_texts_are_other_sentences_than_the_labelled_ones(tmp_path: Path) -> None:
    wanted = schema.Dataset(
        name="synthetic",
        generate=300,
        split=schema.Split(schema.SplitScheme.random, quiz=10, validation=20, test=50),
        unlabelled=schema.Unlabelled(generate=200),
    )
    prepared = prepare(wanted, source=None, store_dir=tmp_path)
    found = add_unlabelled(prepared, wanted, source=None, store_dir=tmp_path)
    texts = set(found.splits["unlabelled"]["text"])
    assert len(texts) > 150
    assert not texts & set(found.splits["test"]["text"])


def test_nothing_left_is_refused(tmp_path: Path) -> None:
    texts = tmp_path / "pairs.tsv"
    wanted = settings(tmp_path, path=str(texts))
    prepared = labelled(wanted, tmp_path / "store")
    seen = prepared.splits["test"][0]
    texts.write_text(f"question\tsentence\n{seen['text']}\t{seen['text_pair']}\n")
    with pytest.raises(Refused, match="No unlabelled rows are left"):
        add_unlabelled(prepared, wanted, source=texts, store_dir=tmp_path / "store")
