"""Odd files are read as another reader would read them, or refused with the line to mend."""

from __future__ import annotations

import csv
import json
import os
from contextlib import suppress
from pathlib import Path

import pytest

from distill_runner.config import schema
from distill_runner.data.load import prepare
from distill_runner.data.readers.files import locate
from distill_runner.data.readers.labelled_rows import Source, read
from distill_runner.errors import Refused
from distill_runner.tasks.kinds import task_of

REVIEWS = "".join(f"a film of {n} minutes,{'pos' if n % 2 else 'neg'}\n" for n in range(60))


def settings(**changes: object) -> schema.Dataset:
    return schema.Dataset(**{"name": "toy", "path": "given", "label": "label", **changes})


def found_in(where: Path, /, **changes: object) -> Source:
    wanted = settings(**changes)
    reader, files = task_of(wanted).label_reader(wanted), locate(wanted, where)
    return read(reader, files, cache=where.parent / "cache")


def refusal(where: Path, /, **changes: object) -> Refused:
    with pytest.raises(Refused) as caught:
        found_in(where, **changes)
    assert caught.value.key is not None
    return caught.value


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def jsonl(path: Path, *labels: object) -> Path:
    rows = [{"text": f"text {n}", "label": label} for n, label in enumerate(labels)]
    return write(path, "".join(json.dumps(row) + "\n" for row in rows))


# --- quotes --------------------------------------------------------------------------------


@pytest.mark.parametrize("apart", [1, 2, 50])
def test_two_stray_quotes_swallow_no_rows(tmp_path: Path, apart: int) -> None:
    lines = ["text,label\n", *REVIEWS.splitlines(keepends=True)]
    lines[5] = '"' + lines[5]
    lines[5 + apart] = lines[5 + apart].replace(",", '",')
    error = refusal(write(tmp_path / "a.csv", "".join(lines)))
    assert f"lines 6 to {6 + apart}" in str(error)
    assert f"{apart} rows" in str(error)
    assert ".tsv" in str(error)


def test_a_class_that_lies_inside_stray_quotes_is_no_sentence(tmp_path: Path) -> None:
    neutral = "".join(f"film {n},neutral\n" for n in range(10))
    content = f'text,label\n{REVIEWS}"one,pos\n{neutral}two",neg\n'
    assert "11 rows" in str(refusal(write(tmp_path / "a.csv", content)))


def test_stray_quotes_swallow_no_scores(tmp_path: Path) -> None:
    scores = "".join(f"film {n},{n / 7}\n" for n in range(10))
    path = write(tmp_path / "a.csv", f'text,label\n{scores}"one,1.5\n{scores}two",2.5\n')
    assert "11 rows" in str(refusal(path, task=schema.TaskKind.regression))


def test_texts_of_several_lines_with_commas_are_texts(tmp_path: Path) -> None:
    poem = "Roses are red, they say\nviolets, blue\n\nand so, it ends"
    content = f'text,label\n{REVIEWS}"{poem}",pos\r\n"one,\r\ntwo",neg\n'
    path = write(tmp_path / "a.csv", content)
    with path.open(newline="") as lines:
        expected = [row["text"] for row in csv.DictReader(lines)]
    assert found_in(path).files["train"].texts == expected


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('an 8" pipe,pos', "not quoted"),
        ('"good" film,pos', "line 62"),
        ('"good film,pos', "never closed"),
        (' "good film",pos', "not quoted"),
    ],
)
def test_a_quote_out_of_place_is_refused_with_its_line(tmp_path: Path, line: str, why: str) -> None:
    error = str(refusal(write(tmp_path / "a.csv", f"text,label\n{REVIEWS}{line}\n")))
    assert why in error
    assert "line 62" in error


@pytest.mark.parametrize("at", [0, 30])
def test_a_text_of_any_length_is_read(tmp_path: Path, at: int) -> None:
    lines = REVIEWS.splitlines(keepends=True)
    lines[at] = "long " * 100_000 + ",pos\n"
    train = found_in(write(tmp_path / "a.csv", "text,label\n" + "".join(lines))).files["train"]
    assert len(train.texts[at]) > 131_072
    assert len(train) == 60


# --- rows ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
@pytest.mark.parametrize("broken", ["pos", "good,pos,more", "   "])
def test_a_row_of_another_width_is_refused_with_its_line(
    tmp_path: Path, name: str, broken: str
) -> None:
    content = f"text,label,source\ngood,pos,a\nbad,neg,b\n{broken}\n"
    if broken.count(",") == 2:
        content = content.replace("good,pos,more", "good,pos,more,still")
    content = content.replace(",", "\t") if name == "a.tsv" else content
    assert "line 4" in str(refusal(write(tmp_path / name, content)))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_end_of_line_ends_a_row(tmp_path: Path, end: str) -> None:
    content = ("\ufefftext,,label,\n" + "good,,pos,\n\nbad,,neg,\n").replace("\n", end)
    train = found_in(write(tmp_path / "a.csv", content)).files["train"]
    assert train.texts == ["good", "bad"]


def test_a_column_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,label,text\na,pos,b\nb,neg,c\n")
    assert "more than one column 'text'" in str(refusal(path))


@pytest.mark.parametrize("depth", [100, 100_000])
@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_a_nested_file_crashes_nothing(tmp_path: Path, name: str, depth: int) -> None:
    deep = "[" * depth + "]" * depth
    rows = f'{{"text": "a", "label": "x"}}\n{{"text": {deep}, "label": "y"}}\n'
    if name == "a.json":
        rows = "[" + rows.replace("}\n{", "},\n{") + "]"
    error = refusal(write(tmp_path / name, rows))
    assert error.key in ("dataset.path", "dataset.text")
    if name == "a.jsonl":
        assert "line 2" in str(error)


@pytest.mark.parametrize(
    "line",
    [
        '{"text": "\\ud800", "label": "x"}',
        '{"text": 5, "label": "x"}',
        '{"text": ["a"], "label": "x"}',
        '{"text": "a", "label": {"x": 1}}',
        '{"text": "a", "text": "b", "label": "x"}',
        '{"text": "a", "label": "x"',
        '{"text": "a", "label": "x"} {}',
        '["text", "label"]',
        '{"text": "a", "label": 1' + "0" * 5000 + "}",
    ],
)
def test_a_bad_line_is_refused_by_its_number(tmp_path: Path, line: str) -> None:
    good = '{"text": "good", "label": "x"}\n\n{"text": "bad", "label": "y"}\n'
    assert "line 4" in str(refusal(write(tmp_path / "a.jsonl", good + line + "\n")))


@pytest.mark.parametrize(
    "labels",
    [(1, "1", 0), (True, 1, 0), (True, "x", "y"), (1.5, 0, 1), (10**30, 0, 1)],
)
def test_labels_of_several_kinds_are_refused(tmp_path: Path, labels: tuple[object, ...]) -> None:
    assert refusal(jsonl(tmp_path / "a.jsonl", *labels)).key == "dataset.label"


def test_whole_numbers_are_one_kind_however_they_are_written(tmp_path: Path) -> None:
    source = found_in(jsonl(tmp_path / "a.jsonl", 1, 1.0, 0, 2))
    assert source.files["train"].labels == [1, 1, 0, 2]


def test_a_key_that_a_row_lacks_is_a_missing_value(tmp_path: Path) -> None:
    good = '{"label": "x", "more": [[1]], "text": "a"}\n'
    error = refusal(write(tmp_path / "a.jsonl", good + '{"text": "b"}\n'))
    assert "'a.jsonl', line 2 (without label)" in str(error)
    error = refusal(write(tmp_path / "b.jsonl", good + '{"label": "y"}\n'))
    assert "'b.jsonl', line 2 (without text)" in str(error)


@pytest.mark.parametrize("column", ["text", "label"])
def test_a_parquet_column_of_another_type_is_refused(tmp_path: Path, column: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    odd = [pa.array([[1], [2]]), pa.array([b"\xff", b"b"]), pa.array([{"a": 1}, {"a": 2}])]
    # Bytes that are no UTF-8 under the name of text.
    odd += [pa.array([b"\xff", b"b"]).view(pa.string())]
    for n, array in enumerate(odd):
        columns = {"text": pa.array(["a", "b"]), "label": pa.array([0, 1])} | {column: array}
        pq.write_table(pa.table(columns), path := tmp_path / f"{n}.parquet")
        assert refusal(path).key in (f"dataset.{column}", "dataset.path")


def test_a_parquet_file_that_was_damaged_crashes_nothing(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"text": ["a", "b"] * 9, "label": [0, 1] * 9}), tmp_path / "a.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    for at in range(4, len(whole), 37):
        damaged = whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]
        with suppress(Refused):
            found_in(write(tmp_path / "b.parquet", damaged))


# --- files that cannot be read -------------------------------------------------------------


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    assert "not a regular file" in str(refusal(tmp_path / "a.csv"))
    assert "no training file" in str(refusal(tmp_path))


def test_a_folder_with_a_files_name_and_a_name_too_long_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").mkdir()
    assert "no training file" in str(refusal(tmp_path / "a.csv"))
    assert "too long" in str(refusal(tmp_path / ("a" * 300 + ".csv")))


def test_a_file_that_may_not_be_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.csv", "text,label\n" + REVIEWS)
    opened = Path.open

    def forbidden(self: Path, *args: object, **named: object) -> object:
        if self == path:
            raise PermissionError(13, "Permission denied", str(self))
        return opened(self, *args, **named)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", forbidden)
    assert "Permission denied" in str(refusal(path))


# --- labels --------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["NaN", "nan", "None", "null", "N/A"])
def test_a_word_for_a_missing_label_is_asked_about(tmp_path: Path, word: str) -> None:
    path = write(tmp_path / "a.csv", f"text,label\n{REVIEWS}odd,{word}\n")
    error = refusal(path)
    assert error.key == "dataset.missing"
    assert "dataset.label_names" in str(error)
    dropped = {"a.csv": {"without label": 1}}
    assert found_in(path, missing=schema.Missing.drop).left_out == dropped
    assert found_in(path, no_label=word).left_out == dropped
    names = ["neg", "pos", word]
    assert found_in(path, label_names=names).label_names == tuple(names)


@pytest.mark.parametrize("other", ["POS", " pos", "pos ", "ｐｏｓ"])
def test_labels_that_look_alike_are_asked_about(tmp_path: Path, other: str) -> None:
    path = write(tmp_path / "a.csv", f"text,label\n{REVIEWS}odd,{other}\n")
    assert refusal(path).key == "dataset.label_names"
    names = ["neg", "pos", other]
    assert found_in(path, label_names=names).label_names == tuple(names)


def test_a_class_of_the_test_file_alone_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", f"text,label\n{REVIEWS}")
    write(tmp_path / "test.csv", "text,label\nwhy,pos\nwell,neutral\n")
    error = refusal(tmp_path)
    assert error.key == "dataset.label"
    assert "'neutral'" in str(error)
    assert "test.csv" in str(error)
    error = refusal(tmp_path, label_names=["pos", "neg", "neutral"])
    assert error.key == "dataset.label_names"


def test_a_named_class_that_no_row_has_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", f"text,label\n{REVIEWS}")
    error = refusal(path, label_names=["neg", "pos", "neutral"])
    assert error.key == "dataset.label_names"
    assert "dataset.label_names=[neg,pos]" in str(error)


def test_a_class_that_the_split_leaves_no_training_row_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", f"text,label\n{REVIEWS}odd,rare\n")
    sizes = schema.Split(train=None, quiz=0, validation=30, test=30)
    with pytest.raises(Refused) as caught:
        prepare(settings(split=sizes), source=path, store_dir=tmp_path / "store")
    assert caught.value.key == "dataset.split.train"


@pytest.mark.parametrize("label", ["1e39", "-3.5e38", "1e400", "1_0"])
def test_a_score_that_float32_cannot_hold_is_refused_by_file_and_row(
    tmp_path: Path, label: str
) -> None:
    path = write(tmp_path / "a.csv", f"text,label\na,1\nb,2\nc,{label}\n")
    error = refusal(path, task=schema.TaskKind.regression)
    assert error.key == "dataset.label"
    assert "'a.csv', line 4" in str(error)
