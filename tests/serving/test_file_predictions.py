"""A file's rows come back unchanged and in order, with the answers of the run beside them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.file_predictions import predicted, read
from support.finished_runs import KINDS, Start, stored

import distill_runner
from distill_runner import Refused
from distill_runner.serving.finished_run import read_run

# As in files that people have: a quoted line break, a byte order mark, remnants of HTML.
ODD = (
    '\ufefftext,id,note\r\n'
    '"good film,\r\nwarm ""plot""",001,<br />&amp;\r\n'
    ',002,1.10\r\n'
    '"  ",003,\r\n'
    'bad <br /> dull,004," x "\r\n'
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_student_answers_the_test_rows_as_its_run_did(
    kind: str, start: Start, tmp_path: Path
) -> None:
    run, columns = start(kind), KINDS[kind][1]
    found = predicted(run, run.parent / "test.csv", tmp_path / "out.csv", prefix="our_")
    rows, expected = read(tmp_path / "out.csv"), stored(run, columns)
    answers = {tuple(row[name] for name in columns): row for row in rows}
    texts = [text if isinstance(text, tuple) else (text,) for text in expected.texts]
    same = [answers[text] for text in texts]
    if kind == "of scores":
        assert [float(row["our_score"]) for row in same] == pytest.approx(expected.logits[:, 0])
    else:
        name = "our_labels" if kind == "of several labels" else "our_label"
        assert [row[name] for row in same] == expected.predicted
    assert found.tally.rows == len(rows) == 50
    assert [row["text"] for row in rows] == [row["text"] for row in read(run.parent / "test.csv")]


def test_probabilities_and_confidence_are_those_of_the_label(start: Start, tmp_path: Path) -> None:
    run = start("one")
    predicted(run, run.parent / "test.csv", tmp_path / "out.csv", prefix="our_", raw=True)
    for row in read(tmp_path / "out.csv"):
        shares = {name: float(row[f"our_probability_{name}"]) for name in ("bad", "good")}
        assert sum(shares.values()) == pytest.approx(1, abs=1e-6)
        assert float(row["our_confidence"]) == max(shares.values())
        assert shares[row["our_label"]] == max(shares.values())
        logits = np.array([float(row[f"our_logit_{name}"]) for name in shares])
        softmax = np.exp(logits) / np.exp(logits).sum()
        assert list(shares.values()) == pytest.approx(softmax.tolist(), abs=1e-5)


@pytest.mark.parametrize("raw", [False, True])
def test_probabilities_are_calibrated_unless_raw_ones_are_asked_for(
    raw: bool, start: Start, tmp_path: Path
) -> None:
    run, student = start("one"), distill_runner.load(start("one"))
    predicted(run, run.parent / "test.csv", tmp_path / "out.csv", prefix="our_", raw=raw)
    rows = read(tmp_path / "out.csv")
    found = [[float(row[f"our_probability_{name}"]) for name in student.classes] for row in rows]
    expected = student.predict_proba([row["text"] for row in rows], calibrated=not raw)
    assert np.array(found) == pytest.approx(expected, abs=1e-6)


def test_odd_cells_come_back_unchanged_and_rows_without_text_have_no_answer(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / "odd.csv").write_text(ODD, encoding="utf-8", newline="")
    found = predicted(start("one"), tmp_path / "odd.csv", tmp_path / "out.csv")
    rows = read(tmp_path / "out.csv")
    given = list(csv.DictReader(ODD.removeprefix("\ufeff").splitlines(keepends=True)))
    assert [{name: row[name] for name in given[0]} for row in rows] == given
    assert [bool(row["label"]) for row in rows] == [True, False, False, True]
    assert rows[1]["probability_bad"] == rows[2]["confidence"] == ""
    assert (found.tally.rows, found.tally.without_text) == (4, 2)


@pytest.mark.parametrize("written", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("given", ["csv", "tsv", "jsonl", "parquet"])
def test_any_format_is_read_and_written(
    given: str, written: str, start: Start, tmp_path: Path
) -> None:
    texts = ["good warm film", "bad dull plot", "slow"]
    rows = [{"text": text, "n": str(at)} for at, text in enumerate(texts)]
    file = tmp_path / f"in.{given}"
    if given == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), file)
    elif given == "jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        tab = "\t" if given == "tsv" else ","
        file.write_text(
            "".join(f"{tab.join(row)}\n" for row in [["text", "n"], *map(dict.values, rows)])
        )
    predicted(start("one"), file, tmp_path / f"out.{written}")
    if written == "parquet":
        found = pq.read_table(tmp_path / "out.parquet").to_pylist()
    elif written == "jsonl":
        found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    else:
        found = read(tmp_path / "out.csv")
    assert [{"text": row["text"], "n": row["n"]} for row in found] == rows
    assert {row["label"] for row in found} <= {"good", "bad"}
    assert [float(row["confidence"]) >= 0.5 for row in found] == [True] * 3


def test_a_json_row_keeps_what_it_had_to_the_letter(start: Start, tmp_path: Path) -> None:
    lines = [
        '{"text": "a \\u00e9", "n": 1.10, "big": 12345678901234567890}',
        '{"more": [1, {}]}',
        "{}",
    ]
    (tmp_path / "in.jsonl").write_text("\n\n".join(lines) + "\n")
    predicted(start("one"), tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    out = (tmp_path / "out.jsonl").read_text().splitlines()
    assert out[0].startswith(f'{lines[0][:-1]}, "label": ')
    assert out[1].startswith(f'{lines[1][:-1]}, "label": null, ')
    assert json.loads(out[2])["label"] is None


def test_several_labels_are_a_list_in_json_and_in_parquet(start: Start, tmp_path: Path) -> None:
    run = start("of several labels")
    (tmp_path / "in.csv").write_text('text\ngood dull film\n""\n')
    for name in ("out.jsonl", "out.parquet"):
        predicted(run, tmp_path / "in.csv", tmp_path / name)
    first, second = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert isinstance(first["labels"], list)
    assert set(first) == {"text", "labels", "probability_dull", "probability_warm"}
    assert second["labels"] is None
    as_json = json.loads((tmp_path / "out.jsonl").read_text().splitlines()[0])
    assert as_json["labels"] == first["labels"]
    assert as_json["probability_dull"] == pytest.approx(first["probability_dull"])


def test_our_columns_never_replace_one_of_the_file(start: Start, tmp_path: Path) -> None:
    run = start("one")
    (tmp_path / "in.csv").write_text("text,label\na film,mine\n")
    found = predicted(run, tmp_path / "in.csv", tmp_path / "out.csv")
    (row,) = read(tmp_path / "out.csv")
    assert row["label"] == "mine"
    assert row["predicted_label"] in ("good", "bad")
    assert all(name.startswith("predicted_") for name in found.added)
    with pytest.raises(Refused, match="column 'label' already"):
        predicted(run, tmp_path / "in.csv", tmp_path / "other.csv", prefix="")
    (tmp_path / "in.jsonl").write_text('{"text": "a"}\n' * 3000 + '{"text": "b", "label": 1}\n')
    assert predicted(run, tmp_path / "in.jsonl", tmp_path / "out.jsonl").prefix == "predicted_"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("in.csv", "other\na\n", "has no column 'text'"),
        ("in.csv", "text\n", "has no rows"),
        ("in.csv", "", "is empty"),
        ("in.csv", 'text\n"a\n', "never closed"),
        ("in.csv", "text,n\na\n", "line 2: 1 fields"),
        ("in.csv", "text,text\na,b\n", "occurs twice"),
        ("in.csv", "text\na\0b\n", "not text but binary"),
        ("in.jsonl", '{"text": 1}\n{"text": ["a"]}\n', "Line 2: the column 'text' holds a list"),
        ("in.jsonl", '{"text": "\\ud800"}\n', "half of a surrogate pair"),
        ("in.jsonl", '{"text": "a"\n', "line 1 cannot be read"),
        ("in.parquet", "PAR1", "cannot be read"),
        ("in.xlsx", "text\na\n", "format of 'in.xlsx' is not known"),
    ],
)
def test_a_file_that_cannot_be_predicted_is_refused(
    name: str, content: str, reason: str, start: Start, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(Refused, match=reason) as refused:
        predicted(start("one"), tmp_path / name, tmp_path / "out.csv")
    assert refused.value.key in ("FILE", "--text")
    assert "dataset." not in str(refused.value)


def test_columns_that_the_student_does_not_read_are_refused(start: Start, tmp_path: Path) -> None:
    file = start("one").parent / "test.csv"
    with pytest.raises(
        Refused, match="two text columns, in order: it was trained on first and second"
    ):
        predicted(start("of pairs"), file, tmp_path / "out.csv", texts=("text",))
    with pytest.raises(Refused, match="reads one text column"):
        predicted(start("one"), file, tmp_path / "out.csv", texts=("first", "second"))
    with pytest.raises(Refused, match="A score has no logits"):
        predicted(start("of scores"), file, tmp_path / "out.csv", raw=True)


def test_long_texts_and_unknown_words_are_counted(start: Start, tmp_path: Path) -> None:
    limit = read_run(start("one")).result.data.max_tokens
    texts = ["good film", " ".join(["good"] * (limit - 2)), " ".join(["good"] * limit), "好 film"]
    (tmp_path / "in.csv").write_text("text\n" + "\n".join(texts) + "\n")
    counts = predicted(start("one"), tmp_path / "in.csv", tmp_path / "out.csv").tally.counts
    assert (counts.texts, counts.cut) == (4, 1)
    assert counts.unknown == 1
