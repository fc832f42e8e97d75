"""The page's program makes a file that teaches."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from distill_runner.data.answers import read_answers
from distill_runner.tasks.classification import Classification

PAGE = Path(__file__).parents[2] / "docs" / "answers.md"
TEXTS = ("a good film", 'one with a "quote"', "two\nlines, fine", "größer")


def test_its_program_answers_every_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "texts.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["body"], *([text] for text in TEXTS)])
    found = re.search(r'```python title="ask.py"\n(.*?)```', PAGE.read_text(), re.DOTALL)
    assert found is not None
    monkeypatch.chdir(tmp_path)
    exec(found[1], {})
    answers = read_answers(
        tmp_path / "answers.jsonl", task=Classification(), names=("bad", "good"), pairs=False
    )
    assert answers.logits.argmax(axis=1).tolist() == [1, 0, 1, 0]
