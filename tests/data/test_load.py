"""A data set is read and cut once, and says what it holds and what it lost."""

from __future__ import annotations

import hashlib
import shutil
import sys
import time
import types
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from distill_runner.config import schema
from distill_runner.data import load
from distill_runner.data.load import Prepared, prepare
from distill_runner.data.readers import labelled_rows
from distill_runner.errors import Refused
from distill_runner.storage.integrity import lock_of, sweep
from distill_runner.storage.locks import hold_lock

SST2 = Path(__file__).resolve().parents[3] / "shared" / "data" / "sst2"
RANDOM, GROUPED = schema.SplitScheme.random, schema.SplitScheme.grouped


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    path = tmp_path / "reviews.csv"
    lines = [f"this film number {n} is it,{'good' if n % 2 else 'bad'}" for n in range(60)]
    path.write_text("\n".join(["text,label", *lines, lines[0]]), encoding="utf-8")
    return path


def settings(**changes: object) -> schema.Dataset:
    return schema.Dataset(**{"name": "toy", "path": "reviews.csv", **changes})


def refuse_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: object, **__: object) -> None:
        raise AssertionError("the files were read again")

    monkeypatch.setattr(labelled_rows, "read", read)


def test_a_file_becomes_splits_with_names_fingerprints_and_counts(
    reviews: Path, tmp_path: Path
) -> None:
    found = prepare(settings(), source=reviews, store_dir=tmp_path / "store")
    assert found.label_names == ("bad", "good")
    assert set(found.splits) == set(found.fingerprints) == {"train", "validation", "test"}
    assert found.counts == {
        "train": 48,
        "quiz": 0,
        "validation": 6,
        "test": 6,
        "rest": 0,
        "dropped_both_labels": 0,
        "dropped_duplicates": 1,
        "dropped_touching": 0,
        "dropped_hidden_labels": 0,
    }
    features = found.splits["train"].features
    assert {name: feature.dtype for name, feature in features.items()} == {
        "id": "string",
        "text": "string",
        "label": "int64",
    }


def test_pairs_get_a_second_text_column(tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    lines = [f"who is {n}\tit is {n}\t{n % 2}" for n in range(30)]
    path.write_text("\n".join(["q\ts\tlabel", *lines]), encoding="utf-8")
    found = prepare(settings(text=["q", "s"]), source=path, store_dir=tmp_path / "store")
    row = found.splits["train"][0]
    assert row["text_pair"] == row["text"].replace("who", "it")
    assert found.splits["train"].column_names == ["id", "text", "text_pair", "label"]


def test_the_second_call_reads_nothing_and_gives_the_same(
    reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare(settings(), source=reviews, store_dir=tmp_path / "store")
    refuse_to_read(monkeypatch)
    second = prepare(settings(), source=reviews, store_dir=tmp_path / "store")
    assert second.fingerprints == first.fingerprints
    assert second.counts == first.counts
    assert second.splits["test"][:] == first.splits["test"][:]


def test_a_store_that_was_moved_still_opens(
    reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare(settings(), source=reviews, store_dir=tmp_path / "store")
    before = first.splits["train"][:]
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    refuse_to_read(monkeypatch)
    moved = prepare(settings(), source=reviews, store_dir=tmp_path / "elsewhere")
    assert moved.splits["train"][:] == before


@pytest.mark.parametrize(
    "changes",
    [
        {"split_seed": 2},
        {"split": schema.Split(quiz=3)},
        {"split": schema.Split(scheme=RANDOM)},
        {"label_names": ["good", "bad"]},
    ],
)
def test_what_decides_the_rows_decides_where_they_are_stored(
    reviews: Path, tmp_path: Path, changes: dict[str, object]
) -> None:
    prepare(settings(), source=reviews, store_dir=tmp_path / "store")
    prepare(settings(**changes), source=reviews, store_dir=tmp_path / "store")
    assert len(list((tmp_path / "store" / "data").glob("*.lock"))) == 2


def test_changed_content_is_read_anew_and_other_settings_are_not_asked(
    reviews: Path, tmp_path: Path
) -> None:
    first = prepare(settings(), source=reviews, store_dir=tmp_path / "store")
    same = prepare(settings(max_tokens=9, name="x"), source=reviews, store_dir=tmp_path / "store")
    content = reviews.read_text(encoding="utf-8")
    reviews.write_text(content.replace("film", "book"), encoding="utf-8")
    changed = prepare(settings(), source=reviews, store_dir=tmp_path / "store")
    assert first.fingerprints == same.fingerprints
    assert first.fingerprints["train"] != changed.fingerprints["train"]


def test_a_failure_leaves_nothing_half_written(reviews: Path, tmp_path: Path) -> None:
    with pytest.raises(Refused):
        prepare(settings(split=schema.Split(test=99)), source=reviews, store_dir=tmp_path / "store")
    assert [path.suffix for path in (tmp_path / "store" / "data").iterdir()] == [".lock"]


@pytest.mark.parametrize("file", ["prepared.json", "train/*.arrow", "manifest.json"])
def test_damage_in_the_store_is_said_and_the_data_are_cut_again(
    file: str, reviews: Path, tmp_path: Path
) -> None:
    first = prepare(settings(), source=reviews, store_dir=tmp_path / "store")
    before = first.splits["train"][:]
    (damaged,) = (tmp_path / "store" / "data").glob(f"*/{file}")
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    said: list[str] = []
    again = prepare(settings(), source=reviews, store_dir=tmp_path / "store", say=said.append)
    assert again.splits["train"][:] == before
    (line,) = said
    assert "is damaged" in line
    assert str(tmp_path / "store" / "damaged" / "data") in line


def test_scratch_of_a_killed_process_is_removed_and_a_live_ones_is_not(tmp_path: Path) -> None:
    data, encodings = tmp_path / "data", tmp_path / "encodings"
    killed, live = data / ".partial-a-x1y2", data / ".partial-b-z3"
    encoded = encodings / ".partial-c-x1y2"
    for folder in (killed, live, encoded):
        (folder / "cache").mkdir(parents=True)
    with hold_lock(data / "b.lock", waiting=lambda: None):
        sweep(tmp_path)
        assert live.exists()
    assert not killed.exists()
    assert not encoded.exists()


def test_data_that_another_process_prepares_is_waited_for_aloud(
    reviews: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    target = prepare(settings(), source=reviews, store_dir=store)
    (made,) = (one for one in (store / "data").iterdir() if one.is_dir())
    shutil.rmtree(made)
    said: list[str] = []
    with ThreadPoolExecutor(1) as pool:
        with hold_lock(lock_of(made), waiting=lambda: None):
            waits = pool.submit(
                prepare, settings(), source=reviews, store_dir=store, say=said.append
            )
            until = time.monotonic() + 20
            while not said and time.monotonic() < until:
                time.sleep(0.05)
        assert waits.result().fingerprints == target.fingerprints
    assert "waiting for another process to prepare" in said[0]


def test_no_source_and_no_rows_to_generate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        prepare(settings(path=None), source=None, store_dir=tmp_path)
    assert caught.value.key == "dataset.path"


def test_the_synthetic_corpus_is_cut_like_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def generate(rows: int, seed: int) -> list[tuple[str, int]]:
        return [(f"film number {n} of seed {seed}", n % 2) for n in range(rows)]

    module = types.ModuleType("distill_runner.data.synthetic")
    module.generate = generate  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "distill_runner.data.synthetic", module)
    wanted = settings(path=None, generate=100, split_seed=4)
    found = prepare(wanted, source=None, store_dir=tmp_path)
    assert found.label_names == ("negative", "positive")
    assert (found.counts["train"], found.counts["test"]) == (80, 10)
    row = found.splits["train"][0]
    assert row["text"] == f"film number {row['id'].removeprefix('synthetic-')} of seed 4"


def test_the_fingerprint_depends_on_ids_texts_labels_and_order() -> None:
    rows = labelled_rows.Rows(ids=["a", "b"], texts=["x", "y"], pairs=None, labels=[0, 1])
    others = [
        rows.take([1, 0]),
        labelled_rows.Rows(ids=["a", "c"], texts=["x", "y"], pairs=None, labels=[0, 1]),
        labelled_rows.Rows(ids=["a", "b"], texts=["x", "z"], pairs=None, labels=[0, 1]),
        labelled_rows.Rows(ids=["a", "b"], texts=["x", "y"], pairs=["", ""], labels=[0, 1]),
        labelled_rows.Rows(ids=["a", "b"], texts=["x", "y"], pairs=None, labels=[0, 0]),
    ]
    assert len({load._rows_hash(table) for table in [rows, *others]}) == 6


@pytest.fixture(scope="module")
def sst2_slides(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Prepared]:
    """SST-2 as the slides cut it: 30,000 / 100 / 872 / 2,000."""
    if not (SST2 / "train.tsv").is_file():
        pytest.skip("the SST-2 files are not on this machine")
    store = tmp_path_factory.mktemp("store")

    def prepare_scheme(scheme: schema.SplitScheme) -> Prepared:
        split = schema.Split(scheme=scheme, train=30000, quiz=100, test=2000)
        wanted = settings(text="sentence", label_names=["negative", "positive"], split=split)
        return prepare(wanted, source=SST2, store_dir=store)

    return prepare_scheme


def plain(text: str) -> str:
    """The text's words: letters, digits, _ and ' in a row, case folded."""
    spaced = "".join(c if c.isalnum() or c in "_'" else " " for c in text.casefold())
    return " ".join(spaced.split()) or text.strip()


@pytest.mark.parametrize(
    ("scheme", "rest", "touching"), [(RANDOM, 26509, 0), (GROUPED, 26004, 505)]
)
def test_sst2_is_cut_as_the_slides_say_and_opens_at_once(
    sst2_slides: Callable[..., Prepared], scheme: schema.SplitScheme, rest: int, touching: int
) -> None:
    found = sst2_slides(scheme)
    assert found.counts == {
        "train": 30000,
        "quiz": 100,
        "validation": 872,
        "test": 2000,
        "rest": rest,
        "dropped_both_labels": 305,
        "dropped_duplicates": 8435,
        "dropped_touching": touching,
        "dropped_hidden_labels": 0,
    }
    # Every row of the training file has gone somewhere.
    assert sum(found.counts.values()) - found.counts["validation"] == 67349
    texts = {name: {plain(text) for text in part["text"]} for name, part in found.splits.items()}
    for name in ("quiz", "validation", "test", "rest"):
        assert not texts["train"] & texts[name]
    start = time.perf_counter()
    assert sst2_slides(scheme).fingerprints == found.fingerprints
    assert time.perf_counter() - start < 1.0


def test_sst2_grouped_shares_no_phrase_between_held_out_rows_and_the_rest(
    sst2_slides: Callable[..., Prepared],
) -> None:
    found = sst2_slides(GROUPED)
    names = ("train", "quiz", "rest")
    pool = [f" {plain(text)} " for name in names for text in found.splits[name]["text"]]
    long_enough = [text for text in pool if len(text.split()) >= 3]
    everything = "\n".join(pool)
    for name in ("test", "validation"):
        held_out = [f" {plain(text)} " for text in found.splits[name]["text"]]
        sample = sorted(held_out, key=lambda text: hashlib.sha256(text.encode()).digest())[:40]
        for text in sample:
            assert not [inner for inner in long_enough if inner in text]
            assert len(text.split()) < 3 or text not in everything
