"""Groups of rows are never split, and sizes are as close to the request as that allows."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from distill_runner.config import schema
from distill_runner.data.groups import whole_groups
from distill_runner.data.readers.labelled_rows import Rows
from distill_runner.data.splits import cut

RANDOM = schema.SplitScheme.random


def questions(count: int, *, seed: int = 0, prefix: str = "train") -> Rows:
    """`count` questions of one to nine sentences, their rows shuffled."""
    draw = random.Random(seed)
    rows = [(f"q{n}", f"{prefix} sentence {n} {m}") for n in range(count)
            for m in range(draw.randrange(1, 10))]  # fmt: skip
    draw.shuffle(rows)
    return Rows(
        ids=[f"{prefix}-{n}" for n in range(len(rows))],
        texts=[question for question, _ in rows],
        pairs=[sentence for _, sentence in rows],
        labels=[int(draw.random() < 0.3) for _ in rows],
        groups=[question for question, _ in rows],
    )


def splits_of(rows: Rows, seed: int = 1, **sizes: float) -> dict[str, Rows]:
    return cut({"train": rows}, schema.Split(scheme=RANDOM, **sizes), seed=seed).splits


@pytest.mark.parametrize("seed", range(6))
def test_no_group_is_in_two_splits_and_no_row_is_lost(seed: int) -> None:
    rows = questions(120, seed=seed)
    found = splits_of(rows, seed, train=200, quiz=30, validation=0.1, test=77)
    assert sum(map(len, found.values())) == len(rows)
    groups = [set(part.groups or ()) for part in found.values()]
    assert all(len(part) for part in groups)
    for n, one in enumerate(groups):
        assert not [one & other for other in groups[n + 1 :] if one & other]


@pytest.mark.parametrize("seed", range(6))
def test_counts_are_met_where_small_groups_are_left_to_fill_the_gap(seed: int) -> None:
    found = splits_of(questions(120, seed=seed), seed, quiz=30, validation=40, test=77)
    assert [len(found[name]) for name in ("quiz", "validation", "test")] == [30, 40, 77]


@pytest.mark.parametrize(
    ("count", "rows"), [(0, 0), (3, 10), (14, 10), (16, 20), (50, 50), (99, 100)]
)
def test_a_count_that_whole_groups_cannot_give_is_missed_by_less_than_one(
    count: int, rows: int
) -> None:
    groups = [f"q{n // 10}" for n in range(100)]
    chosen = whole_groups(list(range(100)), groups, count, np.random.default_rng(1))
    assert len(chosen) == rows
    assert set(Counter(groups[n] for n in chosen).values()) <= {10}


def test_the_seed_decides_and_the_order_of_the_file_does_not() -> None:
    rows = questions(60)
    backwards = rows.take(range(len(rows))[::-1])
    one, same, other = (
        set(splits_of(part, seed, quiz=20, test=30)["test"].ids)
        for part, seed in ((rows, 7), (backwards, 7), (rows, 8))
    )
    assert one == same
    assert one != other


def test_the_training_size_changes_no_other_split() -> None:
    rows = questions(80)
    few = splits_of(rows, 5, train=50, quiz=20, test=40)
    many = splits_of(rows, 5, train=150, quiz=20, test=40)
    assert all(few[name] == many[name] for name in ("test", "validation", "quiz"))


def test_a_group_of_an_official_file_leaves_the_training_rows_and_is_counted() -> None:
    train, official = questions(50), questions(3, seed=4, prefix="validation")
    split = schema.Split(scheme=RANDOM, test=20)
    found = cut({"train": train, "validation": official}, split, seed=1)
    assert found.splits["validation"] is official
    lost = sum(group in ("q0", "q1", "q2") for group in train.groups or ())
    assert found.dropped["dropped_same_group"] == lost > 0
    parts = [set(found.splits[name].groups or ()) for name in ("train", "test", "validation")]
    assert not any(one & other for one, other in pairwise([*parts, parts[0]]))


def test_a_group_of_the_test_file_leaves_the_validation_file() -> None:
    files = {
        "train": questions(60),
        "validation": questions(4, seed=4, prefix="validation"),
        "test": questions(2, seed=5, prefix="test"),
    }
    found = cut(files, schema.Split(scheme=RANDOM), seed=1)
    assert set(found.splits["validation"].groups or ()) == {"q2", "q3"}
    assert found.dropped["dropped_from_validation"] > 0
