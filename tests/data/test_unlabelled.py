"""Texts without labels: read like the labelled ones, kept once, never a test row."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill_runner.config import schema
from distill_runner.data.load import Prepared, prepare
from distill_runner.data.unlabelled import Sources, add_unlabelled
from distill_runner.errors import Refused
from distill_runner.tasks.base import HIDDEN


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
    found = add_unlabelled(
        prepared, wanted, sources=Sources(texts, rest=False), store_dir=tmp_path / "store"
    )
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
    found = add_unlabelled(
        prepared, wanted, sources=Sources(texts, rest=False), store_dir=tmp_path / "store"
    )
    assert list(found.splits["unlabelled"]["text"]) == ["a"]


def test_the_first_rows_can_be_asked_for_and_change_the_fingerprint(tmp_path: Path) -> None:
    texts = tmp_path / "pairs.tsv"
    texts.write_text("question\tsentence\n" + "".join(f"x{n}\ty\n" for n in range(9)))
    marks = []
    for count in (None, 4):
        wanted = settings(tmp_path, path=str(texts), rows=count)
        prepared = labelled(wanted, tmp_path / "store")
        found = add_unlabelled(
            prepared, wanted, sources=Sources(texts, rest=False), store_dir=tmp_path / "store"
        )
        assert found.counts["unlabelled"] == (count or 9)
        marks.append(found.fingerprints["unlabelled"])
    assert marks[0] != marks[1]


def test_a_missing_column_is_refused_by_its_name(tmp_path: Path) -> None:
    texts = tmp_path / "pairs.tsv"
    texts.write_text("question\tanswer\nq\ta\n")
    wanted = settings(tmp_path, path=str(texts))
    prepared = labelled(wanted, tmp_path / "store")
    with pytest.raises(Refused, match="no column 'sentence'") as refused:
        add_unlabelled(
            prepared, wanted, sources=Sources(texts, rest=False), store_dir=tmp_path / "store"
        )
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
    found = add_unlabelled(prepared, wanted, sources=Sources(None, rest=False), store_dir=tmp_path)
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
        add_unlabelled(
            prepared, wanted, sources=Sources(texts, rest=False), store_dir=tmp_path / "store"
        )


def phrases(folder: Path, *, scheme: str, rest: bool = False) -> tuple[Prepared, Prepared]:
    """Labelled sentences without and with rows without labels, some of which touch a test row."""
    sentences = [f"the number {n} is {'odd' if n % 2 else 'even'} they say" for n in range(60)]
    rows = "".join(f"{text}\t{n % 2}\n" for n, text in enumerate(sentences))
    (folder / "train.tsv").write_text(f"text\tlabel\n{rows}")
    wanted = schema.Dataset(
        name="sentences",
        path=str(folder / "train.tsv"),
        split=schema.Split(schema.SplitScheme[scheme], train=20, quiz=0, validation=5, test=5),
        unlabelled=schema.Unlabelled(path=str(folder / "texts.csv"), rest=rest),
    )
    prepared = labelled(wanted, folder / "store")
    test = list(prepared.splits["test"]["text"])
    texts = [
        test[0].upper() + "!",  # the same words
        "Surely " + test[1],  # contains a test text
        " ".join(test[2].split()[:4]),  # lies inside one
        "nothing to do with any of them",
    ]
    (folder / "texts.csv").write_text("text\n" + "\n".join(texts) + "\n")
    sources = Sources(folder / "texts.csv", rest=rest)
    return prepared, add_unlabelled(
        prepared, wanted, sources=sources, store_dir=folder / "store", say=print
    )


def test_a_test_row_in_other_letters_is_left_out(tmp_path: Path) -> None:
    _, found = phrases(tmp_path, scheme="random")
    assert found.counts["unlabelled"] == 3
    assert found.counts["dropped_unlabelled"] == 1


def test_under_the_grouped_split_a_text_that_touches_a_test_row_is_left_out(tmp_path: Path) -> None:
    _, found = phrases(tmp_path, scheme="grouped")
    assert list(found.splits["unlabelled"]["text"]) == ["nothing to do with any of them"]


def test_the_rest_joins_the_file_in_random_order_without_its_labels(tmp_path: Path) -> None:
    prepared, found = phrases(tmp_path, scheme="grouped", rest=True)
    rest, pool = list(prepared.splits["rest"]["text"]), list(found.splits["unlabelled"]["text"])
    assert sorted(pool) == sorted([*rest, "nothing to do with any of them"])
    assert [text for text in pool if text in rest] != rest
    assert set(found.splits["unlabelled"]["label"]) == {HIDDEN}
    held_out = {*prepared.splits["test"]["text"], *prepared.splits["validation"]["text"]}
    assert not held_out & set(pool)


def test_rows_of_a_held_out_group_are_left_out(tmp_path: Path) -> None:
    texts = tmp_path / "pairs.tsv"
    wanted = settings(tmp_path, path=str(texts))
    wanted.group = "question"
    prepared = labelled(wanted, tmp_path / "store")
    question = prepared.splits["test"][0]["text"]
    texts.write_text(f"question\tsentence\n{question}\tanother answer\nnew\tanswer\n")
    found = add_unlabelled(
        prepared, wanted, sources=Sources(texts, rest=False), store_dir=tmp_path / "store"
    )
    assert list(found.splits["unlabelled"]["text"]) == ["new"]
