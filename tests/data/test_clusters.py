"""Rows that share text or a group are one cluster, and the split keeps their numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill_runner.config import schema
from distill_runner.data.clusters import cluster_rows
from distill_runner.data.load import prepare
from distill_runner.data.readers.labelled_rows import Rows


def rows(texts: list[str], pairs: list[str] | None = None, groups: list[str] | None = None) -> Rows:
    count = len(texts)
    return Rows([str(at) for at in range(count)], texts, pairs, [0] * count, groups)


def test_phrases_of_one_sentence_are_one_cluster_and_short_texts_join_nothing() -> None:
    texts = [
        "a fine film with a good heart",
        "with a Good heart !",
        "good",
        "the plot is thin",
        "a fine film",
        "good",
    ]
    assert cluster_rows(rows(texts)) == [0, 0, 1, 2, 0, 3]


def test_two_rows_are_one_cluster_through_a_third() -> None:
    texts = ["one two three", "one two three four five six", "four five six"]
    assert cluster_rows(rows(texts)) == [0, 0, 0]


def test_pairs_that_share_a_text_are_one_cluster() -> None:
    premises = ["it rained all day", "it rained all day", "the sun was out", "yes"]
    claims = ["it was wet", "nobody went out", "Nobody went out.", "yes"]
    assert cluster_rows(rows(premises, claims)) == [0, 0, 0, 1]
    assert cluster_rows(rows(["yes", "yes"], ["a b c d", "e f g h"])) == [0, 1]


def test_rows_with_groups_have_those_as_their_clusters() -> None:
    assert cluster_rows(rows(["a b c", "a b c", "d"], groups=["y", "x", "y"])) == [0, 1, 0]


@pytest.mark.parametrize("scheme", list(schema.SplitScheme))
def test_every_held_out_row_of_a_split_has_its_cluster(
    scheme: schema.SplitScheme, tmp_path: Path
) -> None:
    wanted = schema.Dataset(
        name="synthetic", generate=400, split=schema.Split(scheme, quiz=10, validation=60, test=80)
    )
    found = prepare(wanted, source=None, store_dir=tmp_path)
    for split in ("validation", "test"):
        table = found.splits[split]
        texts = Rows(table["id"][:], table["text"][:], None, [0] * len(table))
        assert table["cluster"][:] == cluster_rows(texts)
    assert "cluster" not in found.splits["train"].column_names
