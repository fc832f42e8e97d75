"""Rows without a text or a label: all named by file and line, or left out and counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from distill_runner.config import schema
from distill_runner.data.load import Prepared, prepare
from distill_runner.data.readers.files import locate
from distill_runner.data.unlabelled import Sources, add_unlabelled
from distill_runner.errors import Refused

DROP = schema.Missing.drop
SIZES = schema.Split(schema.SplitScheme.random, quiz=0, validation=20, test=20)


def settings(**changes: object) -> schema.Dataset:
    return schema.Dataset(**{"name": "toy", "path": "given", "split": SIZES, **changes})


def cut(where: Path, /, **changes: object) -> Prepared:
    store = where.parent / "store"
    return prepare(settings(**changes), source=where, store_dir=store)


def refused(where: Path, /, **changes: object) -> str:
    with pytest.raises(Refused) as caught:
        cut(where, **changes)
    assert caught.value.key == "dataset.missing"
    return str(caught.value)


def table(path: Path, odd: dict[int, str]) -> Path:
    """A csv of 120 rows from line 2 on; `odd` has other lines at some places."""
    rows = [f"film number {n},{('pos', 'neg')[n % 2]}" for n in range(2, 122)]
    rows = [odd.get(n, row) for n, row in enumerate(rows, 2)]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(["text,label", *rows]) + "\n", encoding="utf-8")
    return path


def test_every_row_that_lacks_something_is_named_at_once_by_file_and_line(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    table(folder / "train.csv", {5: ",pos", 9: "a film,", 11: "  ,", 30: "odd,NaN"})
    table(folder / "validation.csv", {7: "good,"})
    error = refused(folder)
    assert "5 rows" in error
    for named in (
        *("'train.csv', line 5 (without text)", "'train.csv', line 9 (without label)"),
        *("'train.csv', line 11 (without text)", "'train.csv', line 30 (without label)"),
        *("'validation.csv', line 7 (without label)", "dataset.missing=drop"),
    ):
        assert named in error


def test_of_many_rows_ten_are_named_and_all_are_counted(tmp_path: Path) -> None:
    error = refused(table(tmp_path / "a.csv", {n: f"film {n}," for n in range(10, 40)}))
    assert "30 rows" in error
    assert error.count("'a.csv', line") == 10
    assert "and 20 more" in error


def test_a_line_is_counted_as_an_editor_does_below_fields_of_several_lines(tmp_path: Path) -> None:
    odd = {4: '"one\ntwo\n\nthree",pos', 5: "\nfilm,neg", 8: "film,"}
    path = table(tmp_path / "a.csv", odd)
    line = path.read_text(encoding="utf-8").splitlines().index("film,") + 1
    assert line == 12
    assert f"'a.csv', line {line} (without label)" in refused(path)


def test_the_line_of_a_json_file_and_the_row_of_a_shard_are_named(tmp_path: Path) -> None:
    import datasets

    rows = [{"text": f"film {n}", "label": n % 2} for n in range(60)]
    rows[20]["text"] = None  # type: ignore[assignment]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    assert "'a.jsonl', line 21 (without text)" in refused(tmp_path / "a.jsonl")
    shards = tmp_path / "shards"
    shards.mkdir()
    for at, part in enumerate((rows[:15], rows[15:])):
        name = f"train-0000{at}-of-00002.parquet"
        datasets.Dataset.from_list(part).to_parquet(shards / name)
    assert "'train-00001-of-00002.parquet', row 6 (without text)" in refused(shards)


def test_dropped_rows_are_counted_by_file_and_reason_and_the_others_are_as_before(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "data"
    table(folder / "train.csv", {5: ",pos", 9: "a film,", 30: "odd,NaN", 31: "so,-"})
    table(folder / "test.csv", {7: ",neg"})
    found = cut(folder, missing=DROP, no_label="-")
    assert found.left_out == {
        "train.csv": {"without text": 1, "without label": 3},
        "test.csv": {"without text": 1},
    }
    assert found.counts["dropped_without_text"] == 2
    assert found.counts["dropped_without_label"] == 3
    assert found.label_names == ("neg", "pos")
    ids = {name for split in found.splits.values() for name in split["id"]}
    # A row's id is its place in the file whatever is left out before it.
    assert {"train-2", "train-4"} <= ids
    assert not {"train-3", "train-7", "train-28", "train-29"} & ids


def test_a_score_that_is_missing_is_dropped_too(tmp_path: Path) -> None:
    rows = "".join(f"film {n},{n / 7}\n" for n in range(120))
    (tmp_path / "a.csv").write_text(f"text,label\n{rows}a,nan\nb,\n")
    scores = {"task": schema.TaskKind.regression, "metrics": [schema.Metric.pearson]}
    assert "line 122 (without label)" in refused(tmp_path / "a.csv", **scores)
    found = cut(tmp_path / "a.csv", missing=DROP, **scores)
    assert found.left_out == {"a.csv": {"without label": 2}}


def test_a_file_of_nothing_else_is_refused_under_drop_too(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\n,x\ny,\n")
    assert "no row with a text and a label" in refused(tmp_path / "a.csv", missing=DROP)


def test_texts_without_labels_are_named_or_left_out_alike(tmp_path: Path) -> None:
    (tmp_path / "texts.csv").write_text('text\nnew one\n""\nnew two\n \n', encoding="utf-8")
    labelled = table(tmp_path / "a.csv", {})

    def add(**wanted: object) -> Prepared:
        asked = settings(unlabelled=schema.Unlabelled(path="given", **wanted))  # type: ignore[arg-type]
        store = tmp_path / "store"
        prepared = prepare(asked, source=labelled, store_dir=store)
        source = tmp_path / "texts.csv"
        return add_unlabelled(prepared, asked, sources=Sources(source, rest=False), store_dir=store)

    with pytest.raises(Refused) as caught:
        add()
    assert "'texts.csv', line 3 (without text), 'texts.csv', line 5" in str(caught.value)
    found = add(missing=DROP)
    assert found.left_out == {"unlabelled texts.csv": {"without text": 2}}
    assert list(found.splits["unlabelled"]["text"]) == ["new one", "new two"]
    assert found.counts["dropped_unlabelled"] == 2


def test_a_label_outside_the_classes_is_named_by_its_line(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", {9: "film,odd", 4: ",pos"})
    assert locate(settings(), path)
    with pytest.raises(Refused, match=r"'a\.csv', line 9"):
        cut(path, missing=DROP, label_names=["neg", "pos"])


def test_a_mark_for_no_label_is_a_number_in_a_delimited_file(tmp_path: Path) -> None:
    odd = {n: f"film number {n},{n % 2}.0" for n in range(2, 122)} | {5: "film number 5,-1.0"}
    found = cut(table(tmp_path / "floats.csv", odd), no_label="-1")
    assert found.label_names == ("0", "1")
    assert found.left_out == {"floats.csv": {"without label": 1}}


def test_the_same_rows_under_another_name_are_reported_by_that_name(tmp_path: Path) -> None:
    for name in ("first.csv", "second.csv"):
        found = cut(table(tmp_path / name, {5: ",pos"}), missing=DROP)
        assert list(found.left_out) == [name]
