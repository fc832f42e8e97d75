"""Data files: whole ones in every format, and files with one thing wrong."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fuzz.cases import SHRUNK, Case, Place, Row, words

NAMES = (("good", "bad"), ("pos", "neg", "neutral"), ("0", "1"), ("1", "2", "3"), ("ja", "nein"))
FORMATS = ("csv", "tsv", "jsonl", "parquet", "json")
ODD = ("naïve", "日本", "🙂", "O'Neil", "50%", "<br/>", "a\u200bb", "x=1", "[tag]", "#1")
HARD_TO_QUOTE = ('say "hi"', "one, two", "two\nlines", "tab\there", '""')


def draw(rng: random.Random, place: Place) -> Case:
    """A labelled file, or a folder of them, and the command that reads it."""
    classes = rng.choice(NAMES)
    rows = _rows(rng, classes)
    ending = rng.choice(FORMATS)
    path = place.folder / f"data.{ending}"
    twist = rng.choice(sorted(TWISTS)) if rng.random() < 0.7 else "nothing"
    expected, kept = TWISTS[twist](rng, path, rows)
    command = [
        *SHRUNK,
        *("method=finetune", "dataset=files", f"dataset.path={path}", "dataset.text=body"),
        *("dataset.label=stars", "output_dir=out", f"store.dir={place.folder}/store"),
    ]
    if not path.is_dir():
        command += ["dataset.split.validation=0.2", "dataset.split.test=0.2"]
    if twist.startswith("score"):
        command += ["dataset.task=regression", "dataset.metrics=[pearson,spearman]"]
    what = f"{ending}: {twist}"
    return Case("data", what, command, expected=expected, rows=kept)  # type: ignore[arg-type]


Judged = tuple[str, list[Row] | None]
Twist = Callable[[random.Random, Path, list[Row]], Judged]


def _rows(rng: random.Random, classes: tuple[str, ...]) -> list[Row]:
    count = rng.randint(60, 90)
    return [
        (f"{words(rng, rng.randint(2, 8))} {rng.choice(ODD)} number {n}", classes[n % len(classes)])
        for n in range(count)
    ]


def _typed(label: str) -> Any:
    return int(label) if label.lstrip("-").isdigit() else label


def write(path: Path, rows: list[Row], header: tuple[str, ...] = ("body", "stars")) -> None:
    """The rows in the format of the path's ending, as a careful program writes them."""
    ending = path.suffix[1:]
    if ending == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = {name: [row[at] for row in rows] for at, name in enumerate(header)}
        pq.write_table(pa.table(columns), path)
    elif ending in ("jsonl", "json"):
        lines = [dict(zip(header, (row[0], _typed(row[1])), strict=True)) for row in rows]
        text = "\n".join(json.dumps(line) for line in lines)
        path.write_text(json.dumps(lines) if ending == "json" else text + "\n", encoding="utf-8")
    else:
        path.write_bytes(delimited(path, rows, header).encode())


def delimited(path: Path, rows: list[Row], header: tuple[str, ...] = ("body", "stars")) -> str:
    if path.suffix == ".tsv":
        lines = ["\t".join(header), *("\t".join(row) for row in rows)]
        return "\n".join(lines) + "\n"
    held = io.StringIO()
    writer = csv.writer(held, lineterminator="\n")
    writer.writerows([header, *rows])
    return held.getvalue()


def _is_text(path: Path) -> bool:
    return path.suffix in (".csv", ".tsv")


# --- what must be read as it is ---------------------------------------------------------------


def nothing(rng: random.Random, path: Path, rows: list[Row]) -> Judged:  # noqa: ARG001
    write(path, rows)
    return "done", rows


def hard_to_quote(rng: random.Random, path: Path, rows: list[Row]) -> Judged:
    if path.suffix == ".tsv":
        return nothing(rng, path, rows)
    rows = [(f"{text} {rng.choice(HARD_TO_QUOTE)} end", label) for text, label in rows]
    write(path, rows)
    return "done", rows


def byte_order_mark(rng: random.Random, path: Path, rows: list[Row]) -> Judged:
    if not _is_text(path):
        return nothing(rng, path, rows)
    path.write_bytes(b"\xef\xbb\xbf" + delimited(path, rows).encode())
    return "done", rows


def windows_line_ends(rng: random.Random, path: Path, rows: list[Row]) -> Judged:
    if not _is_text(path):
        return nothing(rng, path, rows)
    path.write_bytes(delimited(path, rows).replace("\n", "\r\n").encode())
    return "done", rows


def a_very_long_text(rng: random.Random, path: Path, rows: list[Row]) -> Judged:
    at = rng.randrange(len(rows))
    rows[at] = (rows[at][0] + " long" * 40_000, rows[at][1])
    write(path, rows)
    return "done", rows


def more_columns(rng: random.Random, path: Path, rows: list[Row]) -> Judged:  # noqa: ARG001
    header = ("id", "body", "note", "stars")
    wide: list[Row] = [(str(n), row[0], "a note", row[1]) for n, row in enumerate(rows)]
    if path.suffix in (".json", ".jsonl"):
        lines = [dict(zip(header, row, strict=True)) for row in wide]
        text = "\n".join(map(json.dumps, lines))
        path.write_text(json.dumps(lines) if path.suffix == ".json" else text)
    else:
        write(path, wide, header)
    return "done", rows


def a_folder_of_splits(rng: random.Random, path: Path, rows: list[Row]) -> Judged:  # noqa: ARG001
    _folder(path, rows[:40], rows[40:50], rows[50:])
    return "done", rows


def _folder(path: Path, *parts: list[Row]) -> None:
    path.mkdir()
    for name, part in zip(("train", "validation", "test"), parts, strict=True):
        write(path / f"{name}{path.suffix}", part)


# --- what must be refused ---------------------------------------------------------------------


def refused(change: Callable[[random.Random, Path, list[Row]], None]) -> Twist:
    def twist(rng: random.Random, path: Path, rows: list[Row]) -> Judged:
        change(rng, path, rows)
        return "refused", None

    return twist


def an_empty_label(rng: random.Random, path: Path, rows: list[Row]) -> None:
    rows[rng.randrange(len(rows))] = ("a text without a label", rng.choice(("", "  ")))
    write(path, rows)


def an_empty_text(rng: random.Random, path: Path, rows: list[Row]) -> None:
    at = rng.randrange(len(rows))
    rows[at] = (rng.choice(("", "   ")), rows[at][1])
    write(path, rows)


def another_case(rng: random.Random, path: Path, rows: list[Row]) -> None:
    words_only: list[Row] = [(text, {"0": "yes", "1": "no", "2": "so", "3": "or"}.get(label, label))
                             for text, label in rows]  # fmt: skip
    at = rng.randrange(len(rows))
    words_only[at] = (words_only[at][0], words_only[at][1].upper())
    write(path, words_only)


def a_label_that_is_nan(rng: random.Random, path: Path, rows: list[Row]) -> None:
    rows[rng.randrange(len(rows))] = ("a text", "NaN")
    if not _is_text(path):  # there a string "NaN" is a string
        path.write_bytes(b"")
    else:
        write(path, rows)


def one_class(rng: random.Random, path: Path, rows: list[Row]) -> None:  # noqa: ARG001
    write(path, [(text, "good") for text, _ in rows])


def a_class_of_the_test_file_alone(rng: random.Random, path: Path, rows: list[Row]) -> None:  # noqa: ARG001
    _folder(path, rows[:40], rows[40:50], [*rows[50:-1], (rows[-1][0], "unseen")])


def no_such_column(rng: random.Random, path: Path, rows: list[Row]) -> None:  # noqa: ARG001
    write(path, rows, ("text", "stars"))


def a_column_twice(rng: random.Random, path: Path, rows: list[Row]) -> None:
    if _is_text(path):
        write(path, [(*row, row[1]) for row in rows], ("body", "stars", "stars"))
    else:
        an_empty_text(rng, path, rows)


def garbage(rng: random.Random, path: Path, rows: list[Row]) -> None:  # noqa: ARG001
    path.write_bytes(rng.randbytes(rng.randint(0, 4000)))


def cut_short(rng: random.Random, path: Path, rows: list[Row]) -> None:
    write(path, rows)
    whole = path.read_bytes()
    if path.suffix in (".parquet", ".json"):
        path.write_bytes(whole[: rng.randrange(1, len(whole) - 1)])
    else:
        path.write_bytes(b"")


def another_encoding(rng: random.Random, path: Path, rows: list[Row]) -> None:
    write(path, rows)
    if path.suffix == ".parquet":
        garbage(rng, path, rows)
    else:
        text = path.read_text(encoding="utf-8") + "über"
        path.write_bytes(text.encode("utf-16" if rng.random() < 0.5 else "cp1252", "replace"))


def stray_quotes(rng: random.Random, path: Path, rows: list[Row]) -> None:
    if path.suffix != ".csv":
        return garbage(rng, path, rows)
    lines = ["body,stars", *(f"{text},{label}" for text, label in rows)]
    first = rng.randrange(2, len(lines) // 2)
    for at in (first, rng.randrange(first + 2, len(lines))):
        lines[at] = '"' + lines[at]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return None


def deeply_nested(rng: random.Random, path: Path, rows: list[Row]) -> None:
    if path.suffix not in (".json", ".jsonl"):
        return garbage(rng, path, rows)
    write(path, rows)
    depth = rng.choice((1_000, 100_000))
    nested = '{"body": ' + "[" * depth + "]" * depth + ', "stars": 1}'
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        path.write_text(text[:-1] + "," + nested + "]", encoding="utf-8")
    else:
        path.write_text(text + nested + "\n", encoding="utf-8")
    return None


def no_rows(rng: random.Random, path: Path, rows: list[Row]) -> None:  # noqa: ARG001
    write(path, [])


def a_score_that_is_none(rng: random.Random, path: Path, rows: list[Row]) -> None:
    scores: list[Row] = [(text, f"{rng.uniform(0, 5):.3f}") for text, _ in rows]
    scores[rng.randrange(len(rows))] = ("a text", rng.choice(("nan", "inf", "1e39", "x", "-inf")))
    write(path, scores)


# --- what may be either, and must be right if it is accepted ----------------------------------


def scores(rng: random.Random, path: Path, rows: list[Row]) -> Judged:
    with_scores: list[Row] = [(text, f"{rng.uniform(0, 5):.3f}") for text, _ in rows]
    write(path, with_scores)
    return "done", with_scores


def mixed_labels(rng: random.Random, path: Path, rows: list[Row]) -> Judged:
    if path.suffix not in (".json", ".jsonl"):
        return nothing(rng, path, rows)
    values: list[Any] = [1, "1", True, None, 1.0, 2.5, [1], {"a": 1}, "x", "\ud800"]
    lines = [{"body": text, "stars": _typed(label)} for text, label in rows]
    for _ in range(3):
        lines[rng.randrange(len(lines))]["stars"] = rng.choice(values)
    text = "\n".join(map(json.dumps, lines))
    path.write_text(json.dumps(lines) if path.suffix == ".json" else text, encoding="utf-8")
    return "either", None


def a_flipped_byte(rng: random.Random, path: Path, rows: list[Row]) -> Judged:
    write(path, rows)
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)
    return "either", None


def ragged(rng: random.Random, path: Path, rows: list[Row]) -> Judged:
    if not _is_text(path):
        return mixed_labels(rng, path, rows)
    lines = delimited(path, rows).splitlines()
    at = rng.randrange(1, len(lines))
    lines[at] += rng.choice((",extra", "\textra", ",", "\t"))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return "either", None


TWISTS: dict[str, Twist] = {
    "nothing": nothing,
    "hard to quote": hard_to_quote,
    "a byte order mark": byte_order_mark,
    "windows line ends": windows_line_ends,
    "a very long text": a_very_long_text,
    "more columns": more_columns,
    "a folder of splits": a_folder_of_splits,
    "scores": scores,
    "score that is none": refused(a_score_that_is_none),
    "an empty label": refused(an_empty_label),
    "an empty text": refused(an_empty_text),
    "a label in another case": refused(another_case),
    "a label that is NaN": refused(a_label_that_is_nan),
    "one class": refused(one_class),
    "a class of the test file alone": refused(a_class_of_the_test_file_alone),
    "no such column": refused(no_such_column),
    "a column twice": refused(a_column_twice),
    "garbage": refused(garbage),
    "cut short": refused(cut_short),
    "another encoding": refused(another_encoding),
    "stray quotes": refused(stray_quotes),
    "nested deeply": refused(deeply_nested),
    "no rows": refused(no_rows),
    "mixed labels": mixed_labels,
    "a flipped byte": a_flipped_byte,
    "ragged": ragged,
}
