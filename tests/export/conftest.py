"""Small runs of every kind of student, each trained once, and exported once."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from support.tiny import SHRUNK

import distill_runner

Start = Callable[[str], Path]
# What each kind of student is trained by; its texts are `text` unless the words name others.
KINDS = {
    "one": ["method=kd", "teacher=bert"],
    "of bytes": ["method=finetune", "student=roberta", "models.roberta-base.vocabulary=400"],
    "without layers": ["method=kd", "teacher=bert", "student=static"],
    "with soft heads": ["method=tmkd", "teacher=bert+roberta"],
    "several together": ["method=many_on_many", "teacher=bert+roberta"],
    "of pairs": ["method=finetune", "student=bert", "dataset.text=[first,second]"],
    "of scores": [
        *("method=finetune", "dataset.text=[first,second]", "dataset.label=score"),
        *("dataset.task=regression", "dataset.metrics=[pearson]"),
    ],
    "of sets": [
        *("method=finetune", "dataset.task=multi_label", "dataset.label=[quick,long]"),
        "dataset.metrics=[micro_f1]",
    ],
}
_WORDS = ["dull", "warm", "slow", "quick", "film", "plot"]


def _write_rows(path: Path, numbers: range) -> None:
    """Rows with a class, a score and two labels; their texts differ in length."""
    columns = ["text", "first", "second", "label", "score", "quick", "long"]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for row in numbers:
            label = "good" if row % 2 else "bad"
            said = [_WORDS[row // 6**place % 6] for place in range(3)]
            text = " ".join([label, *said, *["very"] * (row % 7)])
            second = _WORDS[row % 6]
            sets = {"quick": int(row % 6 == 3), "long": int(row % 7 > 3)}
            facts = {"label": label, "score": row % 5, **sets}
            writer.writerow({"text": text, "first": text, "second": second, **facts})


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Makes the run of a kind of student, once."""
    root = tmp_path_factory.mktemp("exported")
    _write_rows(root / "train.csv", range(150))
    _write_rows(root / "test.csv", range(150, 200))

    def run(kind: str) -> Path:
        folder = root / kind.replace(" ", "-")
        if not folder.exists():
            words = KINDS[kind]
            text = "dataset.text=text"
            usual = [] if any(one.startswith("dataset.text=") for one in words) else [text]
            label = "dataset.label=label"
            usual += [] if any(one.startswith("dataset.label=") for one in words) else [label]
            distill_runner.run(
                [
                    *SHRUNK, *words, *usual, "dataset=files", "dataset.generate=0",
                    f"dataset.path={root}", "dataset.split.test=null", "seed=1",
                    f"store.dir={root / 'store'}", f"output_dir={folder}",
                ],
                show=False,
            )  # fmt: skip
        return folder

    return run
