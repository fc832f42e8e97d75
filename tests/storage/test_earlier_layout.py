"""A store of an earlier version is left untouched, and the user is told."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.tiny import run

from distill_runner.storage.earlier_layout import report_earlier_layout
from distill_runner.storage.integrity import sweep


def earlier(store: Path, *names: str) -> dict[Path, bytes]:
    """A store as an earlier version left it, one stage in training; its files by path."""
    for name in names:
        (store / "artifacts" / name / "model").mkdir(parents=True)
        (store / "artifacts" / name / "manifest.json").write_text("{}")
        (store / "artifacts" / name / "checkpoint.pt").write_text("half way")
        (store / "signals" / f"{name}-test").mkdir(parents=True)
        (store / "signals" / f"{name}-test" / "logits.npy").write_bytes(b"1")
    (store / "artifacts" / "0.unfinished").mkdir(parents=True)
    (store / "artifacts" / "0.unfinished" / "checkpoint.partial").write_text("half written")
    return files(store)


def files(store: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}


def told(store: Path) -> list[str]:
    said: list[str] = []
    report_earlier_layout(store, say=said.append)
    return said


def test_artifacts_of_an_earlier_layout_are_counted_with_the_way_to_delete_them(
    tmp_path: Path,
) -> None:
    earlier(tmp_path, "a", "b")
    (line,) = told(tmp_path)
    assert "holds 2 artifacts of an earlier layout" in line
    command = line.rpartition(": ")[2]
    assert command == f"rm -r {tmp_path}/artifacts {tmp_path}/signals"


def test_a_new_store_and_one_that_has_a_stage_of_this_layout_say_nothing(tmp_path: Path) -> None:
    assert told(tmp_path / "none") == []
    earlier(tmp_path, "a")
    assert told(tmp_path)
    (tmp_path / "stages").mkdir()
    assert told(tmp_path) == []


def test_no_file_of_an_earlier_layout_is_swept_away(tmp_path: Path) -> None:
    before = earlier(tmp_path, "a")
    sweep(tmp_path)
    assert files(tmp_path) == before


def test_a_run_says_once_that_it_leaves_them_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, said = tmp_path / "store", "1 artifact of an earlier layout"
    before = earlier(store, "a")
    asked = ("training.max_steps=1",)
    run(tmp_path / "first", store, "finetune", *asked)
    assert said in " ".join(capsys.readouterr().out.split())
    assert before.items() <= files(store).items()
    shutil.rmtree(tmp_path / "first")
    run(tmp_path / "first", store, "finetune", *asked)
    assert said not in " ".join(capsys.readouterr().out.split())
