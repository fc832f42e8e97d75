"""`distill teach` writes a file of answers, and names the command that learns from it."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from support.answers import write_answers
from support.distill import distill
from support.tiny import SHRUNK, command, run


@pytest.fixture(scope="module")
def student(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose teacher is a file, so that it has no model but its student."""
    folder = tmp_path_factory.mktemp("taught")
    path = write_answers(folder / "llm.jsonl")
    run(folder / "run", store, "kd", "teacher=file", f"teacher.path={path}", "seed=3")
    return folder / "run"


def write_texts(path: Path) -> Path:
    path.write_text("text\n" + "".join(f"a film of {row} scenes\n" for row in range(30)))
    return path


def test_the_command_that_it_names_learns_from_the_file(
    student: Path,
    store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    texts, output = write_texts(tmp_path / "texts.csv"), tmp_path / "own answers.jsonl"
    lines = distill("teach", student, texts, "--output", output).out.splitlines()
    assert lines[0] == "30 answers; by distilbert-base-uncased."
    program, *asked = shlex.split(lines[-1])
    assert (program, "seed=3" in asked) == ("distill-run", False)
    small = (*SHRUNK, f"store.dir={store}", f"output_dir={tmp_path / 'run'}")
    assert command(monkeypatch, *asked, small=small) == 0
    assert "✓ teacher own answers: as it is" in capsys.readouterr().out


def test_a_file_of_answers_is_no_model(student: Path, tmp_path: Path) -> None:
    texts = write_texts(tmp_path / "texts.csv")
    words = ("teach", student, texts, "--output", tmp_path / "a.jsonl", "--teacher", "llm")
    refused = distill(*words)
    assert (refused.status, "file of answers" in refused.err) == (2, True)
    assert not (tmp_path / "a.jsonl").exists()
