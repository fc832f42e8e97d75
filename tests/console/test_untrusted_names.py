"""Names and contents of files are shown without the control characters a terminal would obey."""

from __future__ import annotations

import io
import json
import sys
from collections import Counter
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra
from rich.console import Console
from rich.table import Table
from support.tiny import run

from distill_runner import cli
from distill_runner.console.printable import escape_controls, on_one_line
from distill_runner.console.screen import Screen, escape_renderable
from distill_runner.data.synthetic import generate
from distill_runner.errors import Refused
from distill_runner.jobs.sweep import SweepTable

EVIL = "\x1b[31mred\x1b]0;title\x07\x9b2J\u202etxt.exe"
SEEN = r"\x1b[31mred\x1b]0;title\x07\x9b2J\u202etxt.exe"
OBEYED = "\x1b\x07\x9b\u202e\r"
FILES = ("dataset=files", "dataset.generate=0", "dataset.split.train=40", "dataset.split.test=20")


def test_what_a_terminal_obeys_is_written_out() -> None:
    assert escape_controls(EVIL) == SEEN
    assert escape_controls("a\nb\tc é 日本 👍") == "a\nb\tc é 日本 👍"
    assert escape_controls("\udcff\x7f\r") == "\\udcff\\x7f\\x0d"
    assert on_one_line("a\nb") == "a\\nb"


def test_screen_and_log_show_names_and_keep_their_own_colours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    screen = Screen(tmp_path)
    screen.print(f"a file called {EVIL}")
    screen.note(EVIL)
    table = Table(EVIL[:10], title="a table")
    table.add_row(EVIL)
    screen.print(table)
    screen.close()
    said = capsys.readouterr().out + (tmp_path / "log.txt").read_text()
    # rich itself leaves the bell out of a table.
    assert said.count(SEEN) + said.count(SEEN.replace(r"\x07", "")) == 5
    assert not set(OBEYED) & set(said)
    terminal = Console(file=io.StringIO(), force_terminal=True, width=80)
    terminal.print(escape_renderable(table))
    written = terminal.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b[1m" in written
    assert "\x1b[31mred" not in written


def reviews(path: Path, *labels: str) -> Path:
    rows = [
        json.dumps({"text": f"{text} {n}", "label": labels[label]})
        for n, (text, label) in enumerate(generate(120, 1))
    ]
    path.write_text("\n".join(rows))
    return path


def test_labels_reach_plan_log_and_card_without_what_a_terminal_obeys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = reviews(tmp_path / "a.jsonl", "fine", f"{EVIL}\n| x |")
    asked = (*FILES, f"dataset.path={path}", "dataset.split.validation=20")
    run(tmp_path / "run", tmp_path / "store", "finetune", *asked)
    card = (tmp_path / "run" / "student" / "README.md").read_text()
    log = (tmp_path / "run" / "log.txt").read_text()
    said = capsys.readouterr().out
    assert "classes: 2 (" in said
    for text in (card, log, said):
        assert SEEN in text
        assert not set(OBEYED) & set(text)
        assert "\n| x |" not in text


def test_a_refusal_shows_a_file_by_its_name_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / f"{EVIL[:9]}.txt").write_text("x")
    asked = ["profile=tiny", "tracker=none", "dataset=files", f"dataset.path={tmp_path}"]
    asked += [f"store.dir={tmp_path}/store", f"output_dir={tmp_path}/out"]
    monkeypatch.setattr(sys, "argv", ["distill-run", *asked])
    monkeypatch.setattr(SweepTable, "verdict", None)
    GlobalHydra.instance().clear()
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    printed = capsys.readouterr()
    assert stopped.value.code == 2
    assert r"\x1b[31mred" in printed.err
    assert not set(OBEYED) & set(printed.err + printed.out)


# --- words that a tokenizer does not know ---------------------------------------------------


def model(folder: Path, words: list[str]) -> Path:
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

    folder.mkdir()
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]))
    config = BertConfig(
        vocab_size=len(words) + 5,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    BertTokenizer(vocab=str(vocabulary)).save_pretrained(folder)
    return folder


def common(share: float) -> list[str]:
    """The commonest words of the generated corpus, up to about that share of it."""
    counts = Counter(word for text, _ in generate(200, 1) for word in text.lower().split())
    found, total = [], 0
    for word, count in counts.most_common():
        if total >= share * counts.total():
            break
        if word.isalpha():
            found.append(word)
            total += count
    return found


def with_student(folder: Path, tmp_path: Path) -> None:
    asked = (f"student.model={folder}", "training.max_steps=2")
    run(tmp_path / "run", tmp_path / "store", "finetune", *asked)


def test_a_student_that_knows_hardly_a_word_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"finetune: .*% of the words .* unknown") as caught:
        with_student(model(tmp_path / "model", ["unheard"]), tmp_path)
    assert caught.value.key == "student.model"
    assert not list((tmp_path / "store" / "stages").glob("*/stage.json"))


def test_unknown_words_of_a_student_are_reported_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_student(model(tmp_path / "model", [*common(0.8), ",", "."]), tmp_path)
    assert capsys.readouterr().out.count("unknown to its tokenizer") == 1


def test_a_teacher_that_knows_hardly_a_word_is_refused_too(tmp_path: Path) -> None:
    folder = model(tmp_path / "model", ["unheard"])
    asked = ("teacher=bert", f"teacher.models=[{folder}]", "teacher.finetune=always")
    with pytest.raises(Refused, match="unknown to its tokenizer") as caught:
        run(tmp_path / "run", tmp_path / "store", "kd", *asked)
    assert caught.value.key == "teacher.models"
