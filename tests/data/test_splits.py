"""Splits share no text, have the requested sizes, and are the same every time."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

import pytest

from distill_runner.config import schema
from distill_runner.data.phrases import Phrases
from distill_runner.data.readers.labelled_rows import Rows
from distill_runner.data.splits import cut, normalise_texts
from distill_runner.errors import Refused

SCHEMES = list(schema.SplitScheme)
RANDOM, GROUPED = schema.SplitScheme.random, schema.SplitScheme.grouped


def rows(texts: list[str], labels: list[int] | None = None, *, prefix: str = "train") -> Rows:
    labels = labels or [n % 2 for n in range(len(texts))]
    ids = [f"{prefix}-{n}" for n in range(len(texts))]
    return Rows(ids=ids, texts=texts, pairs=None, labels=labels)


def distinct(count: int) -> list[str]:
    return [f"word{n} and other{n}" for n in range(count)]


def phrases_of_sentences(*, seed: int = 0, sentences: int = 60) -> Rows:
    """Random sentences over few words, and random pieces of them, as SST-2 has them."""
    draw = random.Random(seed)
    texts: dict[str, None] = {}
    for _ in range(sentences):
        words = [f"w{draw.randrange(40)}" for _ in range(draw.randrange(4, 14))]
        texts[" ".join(words)] = None
        for _ in range(6):
            start, stop = sorted(draw.sample(range(len(words) + 1), 2))
            texts[" ".join(words[start:stop])] = None
    return rows(list(texts))


def lies_inside(inner: str, outer: str) -> bool:
    return f" {inner} " in f" {outer} "


def touches(one: str, other: str) -> bool:
    inner, outer = sorted((one, other), key=lambda text: len(text.split()))
    return one == other or (len(inner.split()) >= 3 and lies_inside(inner, outer))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_counts_asked_for_are_counts_given(scheme: schema.SplitScheme) -> None:
    split = schema.Split(scheme=scheme, train=50, quiz=7, validation=11, test=13)
    found = cut({"train": rows(distinct(100))}, split, seed=1).splits
    sizes = {name: len(part) for name, part in found.items()}
    assert sizes == {"train": 50, "quiz": 7, "validation": 11, "test": 13, "rest": 19}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_row_goes_to_one_split(scheme: schema.SplitScheme) -> None:
    files = {"train": phrases_of_sentences()}
    found = cut(files, schema.Split(scheme=scheme, train=40, quiz=10, test=30), seed=3)
    ids = [row for part in found.splits.values() for row in part.ids]
    assert len(ids) == len(set(ids))
    assert len(ids) + sum(found.dropped.values()) == len(files["train"])


def test_a_number_below_one_is_a_share_and_null_a_tenth() -> None:
    split = schema.Split(scheme=RANDOM, quiz=0.05)
    found = cut({"train": rows(distinct(200))}, split, seed=1).splits
    sizes = [len(found[name]) for name in ("test", "validation", "quiz", "train", "rest")]
    assert sizes == [20, 20, 10, 150, 0]


def test_official_files_are_taken_whole_and_leave_the_pool() -> None:
    train = rows([*distinct(20), "The  Same\tText", "too here"])
    files = {
        "train": train,
        "validation": rows(["the same text", "the same text"], prefix="validation"),
        "test": rows(["Too Here"], prefix="test"),
    }
    found = cut(files, schema.Split(scheme=RANDOM), seed=1)
    assert found.splits["validation"] is files["validation"]
    assert found.splits["test"] is files["test"]
    assert len(found.splits["train"]) == 20
    assert found.dropped["dropped_duplicates"] == 2


def test_test_rows_leave_the_validation_file() -> None:
    files = {
        "train": rows(distinct(20)),
        "validation": rows(["alone", "Shared text!", "alone too"], prefix="validation"),
        "test": rows(["shared text", "other"], prefix="test"),
    }
    found = cut(files, schema.Split(scheme=RANDOM), seed=1)
    assert found.splits["validation"].ids == ["validation-0", "validation-2"]
    assert found.splits["validation"].labels == [0, 0]
    assert len(found.splits["test"]) == 2
    assert found.dropped["dropped_from_validation"] == 1


def test_one_file_as_validation_and_test_is_refused() -> None:
    files = {"train": rows(distinct(20)), "validation": rows(["x", "y"]), "test": rows(["y", "x"])}
    with pytest.raises(Refused) as caught:
        cut(files, schema.Split(scheme=RANDOM), seed=1)
    assert caught.value.key == "dataset.split.validation"


def test_a_number_sets_an_official_file_aside() -> None:
    files = {"train": rows(distinct(20)), "validation": rows(["x"], prefix="validation")}
    found = cut(files, schema.Split(scheme=RANDOM, validation=5, test=0), seed=1).splits
    assert len(found["validation"]) == 5
    assert all(row.startswith("train-") for row in found["validation"].ids)
    assert len(found["test"]) == 0


def test_texts_with_two_labels_go_and_repeated_ones_stay_once() -> None:
    texts = ["both", "Both ", "twice", "twice", *distinct(10)]
    labels = [0, 1, 1, 1, *([0, 1] * 5)]
    split = schema.Split(scheme=RANDOM, validation=0, test=0)
    found = cut({"train": rows(texts, labels)}, split, seed=1)
    assert found.dropped == {
        "dropped_both_labels": 2,
        "dropped_duplicates": 1,
        "dropped_touching": 0,
    }
    assert "train-2" in found.splits["train"].ids
    assert "train-3" not in found.splits["train"].ids


def test_texts_are_compared_by_their_words() -> None:
    texts = ["It's GOOD , really!", "it's good -- really", "its good", " Straße\t2 ", "?!", "…"]
    assert normalise_texts(rows(texts)) == [
        "it's good really",
        "it's good really",
        "its good",
        "strasse 2",
        "?!",
        "…",
    ]


def test_pairs_are_the_same_only_if_both_texts_are() -> None:
    pairs = Rows(
        ids=["a", "b", "c"], texts=["Who ?", "who", "who he"], pairs=["He is", "he is.", "is"],
        labels=[0, 0, 1],
    )  # fmt: skip
    assert normalise_texts(pairs) == ["who\the is", "who\the is", "who he\tis"]


def test_random_splits_keep_the_share_of_each_class() -> None:
    labels = [0] * 600 + [1] * 300 + [2] * 100
    split = schema.Split(scheme=RANDOM, train=500, quiz=10, validation=50, test=100)
    found = cut({"train": rows(distinct(1000), labels)}, split, seed=1).splits
    assert Counter(found["test"].labels) == {0: 60, 1: 30, 2: 10}
    assert Counter(found["train"].labels) == {0: 300, 1: 150, 2: 50}
    assert Counter(found["quiz"].labels) == {0: 6, 1: 3, 2: 1}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_training_size_changes_no_other_split(scheme: schema.SplitScheme) -> None:
    files = {"train": phrases_of_sentences()}
    few = cut(files, schema.Split(scheme=scheme, train=20, quiz=10, test=30), seed=5).splits
    many = cut(files, schema.Split(scheme=scheme, train=90, quiz=10, test=30), seed=5).splits
    assert all(few[name] == many[name] for name in ("test", "validation", "quiz"))
    assert set(few["train"].ids) < set(many["train"].ids)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_seed_decides_and_the_order_of_the_file_does_not(scheme: schema.SplitScheme) -> None:
    train = phrases_of_sentences()
    backwards = train.take(range(len(train))[::-1])
    split = schema.Split(scheme=scheme, quiz=10, test=30)
    one, same, other = (
        set(cut({"train": train}, split, seed=7).splits["test"].ids),
        set(cut({"train": backwards}, split, seed=7).splits["test"].ids),
        set(cut({"train": train}, split, seed=8).splits["test"].ids),
    )
    assert one == same
    assert one != other


@pytest.mark.parametrize("seed", range(5))
def test_grouped_splits_share_no_phrase_with_the_rest(seed: int) -> None:
    split = schema.Split(scheme=GROUPED, quiz=10, validation=20, test=40)
    found = cut({"train": phrases_of_sentences(seed=seed)}, split, seed=seed).splits
    kept_apart = [normalise_texts(found[name]) for name in ("test", "validation")]
    others = [text for name in ("quiz", "train", "rest") for text in normalise_texts(found[name])]
    for one, other in pairwise([*kept_apart, others]):
        assert not [(a, b) for a in one for b in other if touches(a, b)]
    assert not [(a, b) for a in kept_apart[0] for b in others if touches(a, b)]
    assert [len(part) for part in kept_apart] == [40, 20]


def test_grouped_splits_keep_apart_what_touches_an_official_file() -> None:
    train = rows(["a very good film", "a very good film indeed", "very good", *distinct(20)])
    official = rows(["such a very good film"], prefix="validation")
    split = schema.Split(scheme=GROUPED, test=4)
    found = cut({"train": train, "validation": official}, split, seed=1)
    assert found.dropped["dropped_touching"] == 1
    kept = [text for name in ("train", "test") for text in found.splits[name].texts]
    assert "a very good film" not in kept
    assert "very good" in kept


def test_a_drawn_sentence_brings_its_phrases_along() -> None:
    texts = ["one two three four five", "one two three", "three four five", "two three"]
    found = cut({"train": rows(texts)}, schema.Split(scheme=GROUPED, validation=0, test=3), seed=1)
    assert found.splits["test"].ids == ["train-0", "train-1", "train-2"]
    assert found.splits["train"].texts == ["two three"]


def test_a_gap_that_no_whole_sentence_fits_takes_part_of_one() -> None:
    texts = ["one two three four five", "one two three", "three four five", "six", "seven"]
    split = schema.Split(scheme=GROUPED, validation=0, test=4)
    found = cut({"train": rows(texts)}, split, seed=1)
    assert len(found.splits["test"]) == 4
    assert sum(found.dropped.values()) + len(found.splits["train"]) == 1


def test_phrases_agree_with_a_plain_search() -> None:
    texts = phrases_of_sentences(seed=9).texts
    phrases = Phrases(texts)
    for outer, text in enumerate(texts):
        plain = {
            n for n, other in enumerate(texts)
            if n != outer and len(other.split()) >= 3 and lies_inside(other, text)
        }  # fmt: skip
        assert phrases.inside[outer] == plain
        longer = any(lies_inside(text, other) for other in texts if other != text)
        assert phrases.is_maximal(outer, among=set(range(len(texts)))) is not longer


def test_long_texts_are_searched_in_linear_time() -> None:
    draw = random.Random(1)
    texts = [" ".join(f"w{draw.randrange(5000)}" for _ in range(4000)) for _ in range(20)]
    inner = " ".join(texts[3].split()[100:2000])
    assert Phrases([*texts, inner]).inside[3] == {20}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", ["train", "quiz", "validation", "test"])
def test_more_rows_than_there_are_is_refused_with_their_number(
    scheme: schema.SplitScheme, name: str
) -> None:
    split = schema.Split(**{"scheme": scheme, "validation": 0, "test": 0, name: 31})
    with pytest.raises(Refused, match="30") as caught:
        cut({"train": rows(distinct(30))}, split, seed=1)
    assert caught.value.key == f"dataset.split.{name}"


@pytest.mark.parametrize("size", [-1, 1.5, float("nan"), float("inf")])
def test_a_size_that_is_no_share_and_no_count_is_refused(size: float) -> None:
    with pytest.raises(Refused) as caught:
        cut({"train": rows(distinct(30))}, schema.Split(quiz=size), seed=1)
    assert caught.value.key == "dataset.split.quiz"


def test_shares_above_all_rows_are_refused() -> None:
    with pytest.raises(Refused, match="add up"):
        cut({"train": rows(distinct(30))}, schema.Split(train=0.8, quiz=0.3), seed=1)


def test_a_cut_that_leaves_no_training_rows_is_refused() -> None:
    with pytest.raises(Refused, match="No rows are left") as caught:
        cut({"train": rows(distinct(30))}, schema.Split(scheme=RANDOM, test=27), seed=1)
    assert caught.value.key == "dataset.split.train"


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        cut({"train": rows(distinct(30))}, schema.Split(), seed=-1)
    assert caught.value.key == "dataset.split_seed"
