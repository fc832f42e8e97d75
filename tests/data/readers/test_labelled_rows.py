"""Files of labelled texts are read as they are meant, and refused with one clear message."""

from __future__ import annotations

import json
import random
import socket
from pathlib import Path

import pytest

from distill_runner.config import schema
from distill_runner.data.readers.files import locate
from distill_runner.data.readers.labelled_rows import Source, read
from distill_runner.errors import Refused
from distill_runner.tasks.kinds import task_of

ROWS = [("good film", "1"), ("bad film", "0"), ("very good", "1"), ("very bad", "0")]


def settings(**changes: object) -> schema.Dataset:
    return schema.Dataset(**{"name": "toy", "path": "given", "label": "label", **changes})


def read_path(where: Path, /, **changes: object) -> Source:
    wanted = settings(**changes)
    reader, files = task_of(wanted).label_reader(wanted), locate(wanted, where)
    return read(reader, files, cache=where.parent / "cache")


def refusal(where: Path, /, **changes: object) -> Refused:
    with pytest.raises(Refused) as caught:
        read_path(where, **changes)
    return caught.value


def write(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def write_table(path: Path, rows: list[tuple[str, str]], delimiter: str = ",") -> Path:
    lines = [delimiter.join(row) for row in [("text", "label"), *rows]]
    return write(path, "\n".join(lines) + "\n")


def write_parquet(path: Path, **columns: list[object]) -> Path:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    return path


def write_jsonl(path: Path, rows: list[dict[str, object]]) -> Path:
    return write(path, "".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "json", "parquet"])
def test_every_kind_of_file_gives_the_same_rows(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"reviews.{kind}"
    records = [{"text": text, "label": int(label)} for text, label in ROWS]
    if kind in ("csv", "tsv"):
        write_table(path, ROWS, "\t" if kind == "tsv" else ",")
    elif kind == "jsonl":
        write_jsonl(path, records)
    elif kind == "json":
        write(path, json.dumps(records))
    else:
        write_parquet(path, text=[r["text"] for r in records], label=[r["label"] for r in records])
    source = read_path(path)
    train = source.files["train"]
    assert train.texts == [text for text, _ in ROWS]
    assert train.labels == [1, 0, 1, 0]
    assert train.ids == ["train-0", "train-1", "train-2", "train-3"]
    assert source.label_names == ("0", "1")


def test_quotes_in_a_tab_separated_file_are_text(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.tsv", [('"good', "1"), ('bad"', "0")], "\t")
    assert read_path(path).files["train"].texts == ['"good', 'bad"']


def test_quotes_in_a_comma_separated_file_hold_commas_and_line_breaks(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'text,label\n"good, no: ""great""\nfilm",1\nbad,0\n')
    assert read_path(path).files["train"].texts == ['good, no: "great"\nfilm', "bad"]


def test_texts_that_look_like_numbers_or_nothing_stay_as_written(tmp_path: Path) -> None:
    texts = ["007", "NA", "null", "1e5", "nan"]
    path = write_table(tmp_path / "a.csv", list(zip(texts, "01010", strict=True)))
    assert read_path(path).files["train"].texts == texts


def test_a_byte_order_mark_and_other_columns_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("\ufefflabel,,text\n0,7,bad\n1,8,good\n".encode())
    assert read_path(path).files["train"].texts == ["bad", "good"]


def test_two_text_columns_make_pairs(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "question\tsentence\tlabel\nwho\the\t1\nwho\tthere\t0\n")
    train = read_path(path, text=["question", "sentence"]).files["train"]
    assert (train.texts, train.pairs) == (["who", "who"], ["he", "there"])


def test_string_labels_are_sorted_unless_names_are_given(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.csv", [("x", "pos"), ("y", "neg"), ("z", "pos")])
    assert read_path(path).label_names == ("neg", "pos")
    named = read_path(path, label_names=["pos", "neg"])
    assert named.label_names == ("pos", "neg")
    assert named.files["train"].labels == [0, 1, 0]


def test_numbers_are_indices_into_the_given_names(tmp_path: Path) -> None:
    source = read_path(write_table(tmp_path / "a.csv", ROWS), label_names=["negative", "positive"])
    assert source.label_names == ("negative", "positive")
    assert source.files["train"].labels == [1, 0, 1, 0]


def test_number_columns_without_a_fraction_are_class_indices(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", text=["a", "b", "c"], label=[0.0, 1.0, 1.0])
    assert read_path(path).files["train"].labels == [0, 1, 1]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("names", [None, ["1", "2", "5"]])
def test_stars_that_do_not_occur_make_no_class(
    tmp_path: Path, kind: str, names: list[str] | None
) -> None:
    path, stars = tmp_path / f"a.{kind}", [5, 1, 2, 1]
    if kind == "csv":
        write_table(path, [(f"text {n}", str(star)) for n, star in enumerate(stars)])
    else:
        write_parquet(path, text=["a", "b", "c", "d"], label=stars)
    source = read_path(path, label_names=names)
    assert source.label_names == ("1", "2", "5")
    assert source.files["train"].labels == [2, 0, 1, 0]


def test_labels_of_minus_one_and_one_are_two_classes(tmp_path: Path) -> None:
    source = read_path(write_table(tmp_path / "a.csv", [("a", "1"), ("b", "-1")]))
    assert source.label_names == ("-1", "1")
    assert source.files["train"].labels == [1, 0]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_minus_one_beside_zero_is_asked_about(tmp_path: Path, kind: str) -> None:
    path, labels = tmp_path / f"a.{kind}", [0, 1, -1, 1]
    if kind == "csv":
        write_table(path, [(f"text {n}", str(label)) for n, label in enumerate(labels)])
    else:
        write_parquet(path, text=["a", "b", "c", "d"], label=labels)
    assert refusal(path).key == "dataset.label_names"
    named = read_path(path, label_names=["-1", "0", "1"])
    assert named.files["train"].labels == [1, 2, 0, 2]


def test_class_names_stored_in_a_file_are_used_and_matched_by_name(tmp_path: Path) -> None:
    import datasets

    path = tmp_path / "a.parquet"
    features = datasets.Features(
        text=datasets.Value("string"), label=datasets.ClassLabel(names=["neg", "pos"])
    )
    rows = {"text": ["a", "b", "c"], "label": [0, 1, 1]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(path)
    assert read_path(path).label_names == ("neg", "pos")
    assert read_path(path, label_names=["pos", "neg"]).files["train"].labels == [1, 0, 0]
    assert read_path(path, label_names=["bad", "good"]).files["train"].labels == [0, 1, 1]


@pytest.mark.parametrize("name", ["validation", "dev", "valid"])
def test_a_folder_gives_each_file_its_split(tmp_path: Path, name: str) -> None:
    write_table(tmp_path / "train.csv", ROWS)
    write_table(tmp_path / f"{name}.csv", ROWS[:2])
    write_table(tmp_path / "test.csv", ROWS[2:])
    files = read_path(tmp_path).files
    assert {split: len(rows) for split, rows in files.items()} == {
        "train": 4,
        "validation": 2,
        "test": 2,
    }
    assert files["validation"].ids == ["validation-0", "validation-1"]


def test_numbered_shards_are_read_in_order(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train-00001-of-00002.parquet", text=["c", "d"], label=[0, 1])
    write_parquet(tmp_path / "train-00000-of-00002.parquet", text=["a", "b"], label=[0, 1])
    source = read_path(tmp_path, path=None, hub="nyu-mll/glue", subset="sst2")
    assert source.files["train"].texts == ["a", "b", "c", "d"]


@pytest.mark.parametrize("plain", [True, False])
def test_matched_validation_rows_count_where_there_is_no_plain_file(
    tmp_path: Path, plain: bool
) -> None:
    def write_split(name: str, text: str) -> None:
        path = tmp_path / f"{name}-00000-of-00001.parquet"
        write_parquet(path, text=[text, "b"], label=[0, 1])

    write_split("train", "a")
    write_split("validation_matched", "matched")
    write_split("validation_mismatched", "mismatched")
    if plain:
        write_split("validation", "plain")
    files = read_path(tmp_path, path=None, hub="nyu-mll/glue", subset="mnli").files
    assert set(files) == {"train", "validation"}
    assert files["validation"].texts == ["plain" if plain else "matched", "b"]
    assert files["validation"].ids == ["validation-0", "validation-1"]


def test_a_test_file_with_hidden_labels_is_left_aside(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", text=["a", "b"], label=[0, 1])
    write_parquet(tmp_path / "test.parquet", text=["c", "d"], label=[-1, -1])
    source = read_path(tmp_path)
    assert (set(source.files), source.hidden) == ({"train"}, 2)


def test_a_test_file_without_a_label_column_is_left_aside(tmp_path: Path) -> None:
    write_table(tmp_path / "train.tsv", ROWS, "\t")
    write(tmp_path / "test.tsv", "index\ttext\n0\tgood\n")
    source = read_path(tmp_path)
    assert (set(source.files), source.hidden) == ({"train"}, 1)


def test_reading_says_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    read_path(write_table(tmp_path / "a.csv", ROWS))
    refusal(write_jsonl(tmp_path / "b.jsonl", []))
    refusal(write(tmp_path / "c.jsonl", "{"))
    assert capfd.readouterr() == ("", "")


def test_reading_asks_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *address, **_: asked.append(address) or [])
    read_path(write_table(tmp_path / "a.csv", ROWS))
    assert asked == []


def test_a_missing_path_is_refused_by_name(tmp_path: Path) -> None:
    error = refusal(tmp_path / "nowhere")
    assert error.key == "dataset.path"
    assert "nowhere" in str(error)


def test_an_unsupported_ending_is_refused_with_those_that_work(tmp_path: Path) -> None:
    error = refusal(write(tmp_path / "a.xlsx", "text,label\n"))
    assert error.key == "dataset.path"
    assert ".parquet" in str(error)


def test_a_folder_without_training_rows_is_refused_with_what_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    write_table(folder / "rows.csv", ROWS)
    assert "rows.csv" in str(refusal(folder))


def test_two_files_for_one_split_are_refused(tmp_path: Path) -> None:
    write_table(tmp_path / "train.csv", ROWS)
    write_table(tmp_path / "train.tsv", ROWS, "\t")
    assert "train.csv, train.tsv" in str(refusal(tmp_path))


def test_a_missing_shard_is_refused(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train-00000-of-00002.parquet", text=["a", "b"], label=[0, 1])
    assert "could hold" in str(refusal(tmp_path))


def test_the_folder_given_is_the_folder_of_the_files_and_not_one_above(tmp_path: Path) -> None:
    write_table(tmp_path / "sst2" / "train.csv", ROWS)
    error = refusal(tmp_path, path=None, hub="nyu-mll/glue", subset="sst2")
    assert error.key == "dataset.hub"
    assert "no training file" in str(error)
    assert "the folder contains: sst2" in str(error)


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_a_missing_column_is_refused_with_the_columns_there_are(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    if kind == "csv":
        write_table(path, ROWS)
    elif kind == "parquet":
        write_parquet(path, text=["a", "b"], label=[0, 1])
    else:
        write_jsonl(path, [{"text": "a", "label": 0}, {"text": "b", "label": 1}])
    error = refusal(path, text="sentence")
    assert error.key == "dataset.text"
    assert "one of: 'text', 'label'" in str(error)
    assert refusal(path, label="stars").key == "dataset.label"


@pytest.mark.parametrize("text", [[], ["a", "b", "c"], ["a", "a"], 7, ""])
def test_text_columns_that_are_not_one_or_two_names_are_refused(
    tmp_path: Path, text: object
) -> None:
    assert refusal(write_table(tmp_path / "a.csv", ROWS), text=text).key == "dataset.text"


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.json", "a.parquet"])
def test_an_empty_file_is_refused(tmp_path: Path, name: str) -> None:
    assert refusal(write(tmp_path / name, "")).key == "dataset.path"


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_a_header_without_rows_is_refused(tmp_path: Path, name: str) -> None:
    path = write_table(tmp_path / name, [], "\t" if name == "a.tsv" else ",")
    assert "has no rows" in str(refusal(path))


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.json", "a.parquet"])
def test_garbage_is_refused_and_not_a_crash(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(random.Random(1).randbytes(5000))
    assert refusal(path).key == "dataset.path"
    path.write_bytes(bytes(3000))
    assert refusal(path).key in ("dataset.path", "dataset.text")


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl"])
def test_text_that_is_not_utf_8_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "a.jsonl":
        path.write_bytes('{"text": "café", "label": 1}\n'.encode("latin-1"))
    else:
        delimiter = "\t" if name == "a.tsv" else ","
        path.write_bytes(f"text{delimiter}label\ncafé{delimiter}1\n".encode("latin-1"))
    assert "UTF-8" in str(refusal(path))


@pytest.mark.parametrize("broken", ["good,film,1\nbad,0\n", "bad,0\ngood,film,1\n", 'bad,0\n"good'])
def test_a_ragged_or_unfinished_line_is_refused(tmp_path: Path, broken: str) -> None:
    assert refusal(write(tmp_path / "a.csv", "text,label\n" + broken)).key.startswith("dataset.")


@pytest.mark.parametrize(
    "content",
    ['{"rows": [{"text": "a", "label": 1}]}', "[1, 2]", '"text"', "[[1]]", "7", "[]", "{}"],
)
@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_json_of_another_shape_is_refused(tmp_path: Path, name: str, content: str) -> None:
    assert refusal(write(tmp_path / name, content)).key.startswith("dataset.")


def test_a_row_without_text_is_refused_with_its_number(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", text=["a", None, "c"], label=[0, 1, 0])
    error = refusal(path)
    assert error.key == "dataset.missing"
    assert "'a.parquet', row 2" in str(error)
    error = refusal(write_table(tmp_path / "a.csv", [("a", "0"), ("", "1")]))
    assert "'a.csv', line 3" in str(error)


def test_a_row_without_label_is_refused_with_its_number(tmp_path: Path) -> None:
    error = refusal(write_table(tmp_path / "a.csv", [("a", "0"), ("b", ""), ("c", "1")]))
    assert error.key == "dataset.missing"
    assert "'a.csv', line 3" in str(error)
    path = write_parquet(tmp_path / "a.parquet", text=["a", "b", "c"], label=[0, None, 1])
    assert "'a.parquet', row 2 (without label)" in str(refusal(path))


@pytest.mark.parametrize("label", ["2", "-1", "good"])
def test_a_label_outside_the_names_is_refused(tmp_path: Path, label: str) -> None:
    path = write_table(tmp_path / "a.csv", [("a", "0"), ("b", "1"), ("c", label)])
    error = refusal(path, label_names=["negative", "positive"])
    assert error.key == "dataset.label_names"


def test_labels_with_fractions_are_refused(tmp_path: Path) -> None:
    assert refusal(write_table(tmp_path / "a.csv", [("a", "0.5"), ("b", "1")])).key == (
        "dataset.label"
    )
    path = write_parquet(tmp_path / "a.parquet", text=["a", "b"], label=[0.5, 1.0])
    assert "whole number" in str(refusal(path))


def test_a_single_class_is_refused(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.csv", [("a", "1"), ("b", "1")])
    assert "same label" in str(refusal(path))
    assert refusal(path, label_names=["only"]).key == "dataset.label_names"
    assert refusal(write_table(tmp_path / "b.csv", [("a", "x"), ("b", "x")])).key == "dataset.label"


def test_names_given_twice_are_refused(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.csv", ROWS)
    assert refusal(path, label_names=["a", "a"]).key == "dataset.label_names"


def test_a_column_of_identifiers_is_not_taken_for_classes(tmp_path: Path) -> None:
    numbers = [(f"text {n}", str(7_000_000 + n)) for n in range(50)]
    refused = refusal(write_table(tmp_path / "a.csv", numbers))
    assert "do not look like class numbers" in str(refused)
    words = [(f"text {n}", f"row {n}") for n in range(50)]
    assert "do not look like classes" in str(refusal(write_table(tmp_path / "b.csv", words)))


def test_mixed_labels_in_a_jsonl_file_are_refused(tmp_path: Path) -> None:
    rows = [{"text": "a", "label": 0}, {"text": "b", "label": "good"}, {"text": "c", "label": 1}]
    assert refusal(write_jsonl(tmp_path / "a.jsonl", rows)).key == "dataset.label"
