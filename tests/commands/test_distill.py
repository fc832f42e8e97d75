"""`distill` as it is typed: what it prints, where, and how it ends."""

from __future__ import annotations

import errno
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.distill import distill
from support.finished_runs import Start
from support.tiny import command

TYPED = [sys.executable, "-c", "from distill_runner.commands.distill import main; main()"]


def next_command(printed: str) -> list[str]:
    """The words of the last line, which is the command to type next."""
    return shlex.split(printed.strip().splitlines()[-1])


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def test_predictions_go_to_standard_output_and_words_to_standard_error(start: Start) -> None:
    file = start("one").parent / "test.csv"
    done = distill("predict", start("one"), file)
    assert done.status == 0
    head, *rows = done.out.splitlines()
    assert head.startswith("text,first,second,label,score,labels,predicted_label,")
    assert len(rows) == 50
    assert "50 rows predicted" in done.err
    assert "begin with predicted_" in done.err
    assert all(len(line) <= 80 for line in done.err.splitlines() if "distill export" not in line)
    assert next_command(done.err) == ["distill", "export", str(start("one"))]


def test_a_check_by_a_teacher_lists_the_least_likely_labels(start: Start) -> None:
    file = start("one").parent / "test.csv"
    check = distill("check", file, "--teacher", start("one"))
    assert check.status == 0
    assert "Least likely labels, by the teacher bert-base-uncased, of 50 rows" in check.out
    assert "None of these texts was among the run's training rows" in check.out


def test_the_command_that_a_check_ends_with_works(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = start("one").parent / "train.csv"
    done = distill("check", file, "--label", "label")
    program, *words = next_command(done.out)
    assert program == "distill-run"
    folders = [f"store.dir={tmp_path / 'store'}", f"output_dir={tmp_path / 'run'}"]
    small = [f"dataset.split.{name}=20" for name in ("train", "quiz", "validation", "test")]
    assert command(monkeypatch, *words, "dataset.generate=0", *small, *folders) == 0


def test_a_check_fits_eighty_columns(start: Start, tmp_path: Path) -> None:
    folder = start("one").parent
    rows = ["text,label", *(f'"{"very " * 40}{at}",{"Spam"}' for at in range(30))]
    rows += [f'"{"very " * 40}0",ham', '"",ham', "x,spam"]
    (tmp_path / "in.csv").write_text("\n".join(rows) + "\n")
    words = ["--test", folder / "test.csv", "--max-tokens", "32", "--teacher", start("one")]
    refused = distill("check", tmp_path / "in.csv", *words)
    assert refused.status == 2
    assert "knows none of the file's labels" in refused.err
    printed = refused.out + distill("check", folder / "train.csv", *words).out
    assert all(len(line) <= 80 for line in printed.splitlines() if not line.startswith("  distill"))
    for said in (
        *("Rows without a text", "Rows of a text with two labels", "Rows also in test.csv"),
        *("Texts of over 32 tokens", "'Spam' and 'spam' differ only in case"),
        *("! Fewer than 10 rows: ham and spam.", "! Only in test.csv: bad and good."),
    ):
        assert said in printed


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["check", "-"], "can be read only once"),
        (["check", "nowhere.csv"], "'nowhere.csv' does not exist"),
        (["check", "{test}", "--text", "body"], "has no column 'body'"),
        (["check", "{test}", "--label", "stars"], "has no column 'stars'"),
        (["check", "{test}", "--test", "nowhere.csv"], "'nowhere.csv' does not exist"),
        (["check", "{test}", "--teacher", "{folder}"], "is not a run folder"),
        (["check", "{test}", "--model", "{folder}"], "config.json"),
        (["predict", "{folder}", "{test}"], "is not a run folder"),
        (["predict", "{run}", "{folder}"], "is a folder"),
        (["predict", "{run}", "{test}", "--output", "{folder}/none/out.csv"], "There is no folder"),
        (["predict", "{run}", "{test}", "--output", "out.xls"], "format of 'out.xls' is not known"),
        (["predict", "{run}", "{test}", "--format", "xls"], "no such format"),
        (["predict", "{run}", "-", "--format", "parquet"], "cannot be read from standard input"),
        (["predict", "{run}", "{test}", "--device", "tpu"], "no device 'tpu'"),
    ],
)
def test_bad_input_is_refused_in_one_message(
    words: list[str], reason: str, start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    run = start("one")
    places = {"run": run, "test": run.parent / "test.csv", "folder": run.parent}
    done = distill(*(word.format(**places) for word in words))
    assert done.status == 2
    assert reason in done.err
    assert "Traceback" not in done.err
    assert "dataset." not in done.err
    assert list(tmp_path.iterdir()) == []


def test_texts_unlike_the_training_rows_are_pointed_out(start: Start, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("text\n" + "好 ☃ film\n" * 9 + "very " * 500 + "\n")
    done = distill("predict", start("one"), tmp_path / "in.csv", "--output", tmp_path / "out.csv")
    assert done.out.count("! That is unlike the training rows") == 2
    assert "Texts cut at" in done.out


def test_an_output_that_cannot_be_written_is_reported(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    words = ["predict", start("one"), start("one").parent / "test.csv"]
    done = distill(*words, "--output", tmp_path / "out.csv")
    assert (done.status, list(tmp_path.iterdir())) == (1, [])
    assert "cannot be written: No space left on device" in done.err


def test_standard_input_is_predicted(start: Start) -> None:
    done = subprocess.run(
        [*TYPED, "predict", str(start("one")), "-", "--format", "jsonl"],
        input='{"text": "a good film"}\n{"text": null}\n',
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith('{"text": "a good film", "label": "')
    assert '"label": null' in second
    assert "1 row without a text" in done.stderr


@pytest.mark.slow
def test_a_killed_command_goes_on_where_it_was(start: Start, tmp_path: Path) -> None:
    rows = (f"{word} film number {at}" for at in range(30_000) for word in ("good", "bad"))
    (tmp_path / "in.csv").write_text("text\n" + "\n".join(rows) + "\n")
    words = ["predict", str(start("one")), str(tmp_path / "in.csv"), "--output"]
    whole, target = tmp_path / "whole.csv", tmp_path / "out.csv"
    subprocess.run([*TYPED, *words, str(whole)], check=True, capture_output=True)
    process = subprocess.Popen([*TYPED, *words, str(target)], stdout=subprocess.DEVNULL)
    partial = tmp_path / "out.csv.partial"
    until = time.monotonic() + 60
    while time.monotonic() < until and not (partial.is_file() and partial.stat().st_size > 1e6):
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert partial.is_file()
    assert not target.exists()
    done = subprocess.run([*TYPED, *words, str(target)], capture_output=True, text=True)
    assert "were written before this command" in done.stdout, done.stderr
    assert target.read_bytes() == whole.read_bytes()
