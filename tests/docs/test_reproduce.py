"""`scripts/reproduce` rebuilds what is printed, and finds a figure that is not the records'."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from support.tiny import SHRUNK, command

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs" / "tools"))
import reproduce  # noqa: E402
import tables  # noqa: E402

from distill_runner.report.records import record  # noqa: E402


@pytest.fixture
def pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The README alone, in a folder of its own."""
    shutil.copyfile(ROOT / "README.md", tmp_path / "README.md")
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    monkeypatch.setattr(tables, "PAGES", (tmp_path / "README.md",))
    return tmp_path / "README.md"


def test_pages_that_are_those_of_the_records_are_left_alone(
    pages: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = pages.stat().st_mtime_ns
    assert reproduce.main([]) == 0
    assert pages.stat().st_mtime_ns == before
    assert "tables and a picture are those of the records" in capsys.readouterr().out


def test_one_changed_digit_is_found_and_mended(
    pages: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = pages.read_text(encoding="utf-8")
    table = whole[whole.index("<!-- table evidence -->") :]
    figure = re.search(r"\+\d+\.(\d)", table)
    assert figure is not None
    at = whole.index("<!-- table evidence -->") + figure.start(1)
    digit = str((int(whole[at]) + 1) % 10)
    pages.write_text(whole[:at] + digit + whole[at + 1 :], encoding="utf-8")
    assert reproduce.main([]) == 1
    assert "README.md: rewritten" in capsys.readouterr().out
    assert pages.read_text(encoding="utf-8") == whole


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The record of a small run on a csv."""
    rows = [f"a {kind} film {n},{kind}" for n in range(150) for kind in ("good", "bad")]
    (tmp_path / "rows.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    asked = ("method=finetune", "dataset=files", f"dataset.path={tmp_path / 'rows.csv'}")
    places = (f"output_dir={tmp_path}/run", f"store.dir={tmp_path}/store")
    assert command(monkeypatch, *asked, *places, "dataset.generate=0", "tracker=none") == 0
    record(tmp_path / "run", tmp_path / "records" / "small" / "run")
    monkeypatch.setattr(tables, "RECORDS", tmp_path / "records")
    monkeypatch.setattr(reproduce, "REPRODUCED", tmp_path / "reproduced")
    return tmp_path


def train_again(*given: str) -> int:
    return reproduce.main(["small", "--train", SHRUNK[0], *given])


def test_a_run_trained_again_equals_its_record_to_the_byte(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = f"dataset.path={recorded / 'rows.csv'}"
    assert train_again(given) == 0
    assert "the weights, are equal to the byte" in capsys.readouterr().out
    weights = recorded / "records" / "small" / "run" / "weights.json"
    weights.write_text(json.dumps({"model.safetensors": "0" * 64}))
    assert train_again(given) == 1
    assert "weights.json differ" in capsys.readouterr().out


def test_a_file_of_the_users_must_be_named_and_hold_the_same(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train_again() == 2
    assert "--train dataset.path=PATH" in capsys.readouterr().err
    other = recorded / "other.csv"
    other.write_text((recorded / "rows.csv").read_text().replace("film 149", "movie 149"))
    assert train_again(f"dataset.path={other}") == 1
    assert "the content of your files" in capsys.readouterr().out


@pytest.mark.parametrize("asked", [["nothing", "--train"], ["nothing"], ["--train"]])
def test_what_is_not_recorded_is_refused(
    asked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert reproduce.main(asked) == 2
    assert "reproduce: " in capsys.readouterr().err
