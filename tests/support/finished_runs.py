"""Finished runs of every kind of student, on the same files."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import distill_runner
from support.tiny import SHRUNK

Start = Callable[..., Path]
FILM, PAIR = ["text"], ["first", "second"]
# What each kind of student is trained by, and the columns of its texts.
KINDS = {
    "one": (["method=kd", "teacher=bert"], FILM),
    "with soft heads": (["method=tmkd", "teacher=bert+roberta"], FILM),
    "several together": (["method=many_on_many", "teacher=bert+roberta"], FILM),
    "of pairs": (["method=finetune", "dataset.text=[first,second]"], PAIR),
    "of scores": (
        [
            *("method=finetune", "dataset.text=[first,second]"),
            *("dataset.task=regression", "dataset.metrics=[pearson]"),
        ],
        PAIR,
    ),
    "of several labels": (
        ["method=finetune", "dataset.task=multi_label", "dataset.metrics=[micro_f1]"],
        FILM,
    ),
}
_LABELS = {"of scores": "score", "of several labels": "labels"}  # else label


@dataclass(frozen=True)
class Stored:
    """What a run stored for its test rows, and their texts."""

    texts: list[str] | list[tuple[str, str]]
    predicted: list[str]
    logits: np.ndarray  # [rows, classes]; of scores the predictions, [rows, 1]


def write_rows(path: Path, numbers: range) -> None:
    """Rows with a class and a score, their texts all different and of different lengths."""
    words = ["dull", "warm", "slow", "quick", "film", "plot"]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "first", "second", "label", "score", "labels"])
        for row in numbers:
            digits = [words[row // 6**place % 6] for place in range(3)]
            text = " ".join(digits + ["very"] * (row % 7))
            label = "good" if row % 2 else "bad"
            several = "|".join(one for one in ("dull", "warm") if one in digits)
            first = f"{label} {text}"
            writer.writerow([first, first, words[row % 6], label, row % 5, several])


class FinishedRuns:
    """Makes the run of a kind of student, once; its folder lies beside `test.csv`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._made: dict[str, Path] = {}
        write_rows(root / "train.csv", range(150))
        write_rows(root / "test.csv", range(150, 200))

    def __call__(self, kind: str) -> Path:
        if kind not in self._made:
            words, columns = KINDS[kind]
            folder = self._root / kind.replace(" ", "-")
            text = [] if columns is PAIR else ["dataset.text=text"]
            distill_runner.run(
                [
                    *SHRUNK, *words, *text, "dataset=files", "dataset.generate=0",
                    f"dataset.path={self._root}", f"dataset.label={_LABELS.get(kind, 'label')}",
                    "dataset.split.test=null", "seed=1", f"store.dir={self._root / 'store'}",
                    f"output_dir={folder}",
                ],
                show=False,
            )  # fmt: skip
            self._made[kind] = folder
        return self._made[kind]


def stored(run_folder: Path, columns: Sequence[str]) -> Stored:
    """The predictions file of the test rows; `test-7` is the eighth row of the test file."""
    with (run_folder.parent / "test.csv").open(encoding="utf-8") as file:
        rows = [tuple(row[name] for name in columns) for row in csv.DictReader(file)]
    with (run_folder / "predictions" / "test.csv").open(encoding="utf-8") as file:
        said = list(csv.DictReader(file))
    found = [rows[int(row["id"].removeprefix("test-"))] for row in said]
    logits = [[float(value) for name, value in row.items() if "logit" in name] for row in said]
    predicted = [row["predicted"] for row in said]
    return Stored(
        texts=[(a, b) for a, b in found] if len(columns) == 2 else [text for (text,) in found],
        predicted=predicted,
        logits=np.asarray(logits if logits[0] else [[float(one)] for one in predicted]),
    )
