"""A check counts in a file what a training would stumble over."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.finished_runs import Start, stored

from distill_runner import Refused
from distill_runner.config.schema import TaskKind
from distill_runner.models.loading import load_encoder
from distill_runner.serving.data_check import Checked, check_file
from distill_runner.serving.doubtful_labels import Judged, find_judge, judge_rows
from distill_runner.serving.finished_run import read_run
from distill_runner.serving.labelled_rows import Columns
from distill_runner.serving.student import Student, find_device
from distill_runner.serving.table_reader import open_source
from distill_runner.serving.trained_texts import find_trained_texts


def written(path: Path, rows: Sequence[Sequence[str]], head: str = "text,label") -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head.split(","), *rows])
    return path


def checked(
    file: Path,
    *,
    task: TaskKind = TaskKind.classification,
    test: Path | None = None,
    model: Path | None = None,
    max_tokens: int = 8,
) -> Checked:
    return check_file(
        open_source(str(file)),
        Columns(("text",), "label", task),
        test=None if test is None else open_source(str(test)),
        encoder=None if model is None else load_encoder(model, max_tokens, key="--model"),
        max_tokens=max_tokens,
    )


def test_classes_gaps_doubles_and_two_labels_are_counted(tmp_path: Path) -> None:
    rows = [
        *(("A good film.", "pos"), ("a GOOD film", "pos"), ("a good film!", "pos")),
        *(("so bad", "neg"), ("So bad!", "pos"), ("fine", "pos"), ("", "neg"), ("dull", "nan")),
    ]
    found = checked(written(tmp_path / "in.csv", rows))
    assert found.rows == 8
    assert found.names == {"pos": 5, "neg": 1}
    assert found.majority == ("pos", 5 / 6)
    assert (found.without_text, found.without_label) == (1, 1)
    assert (found.doubles, found.both_labels) == (2, 2)
    (conflict,) = found.conflicts
    assert (conflict.rows, conflict.labels) == ((4, 5), ("neg", "pos"))


def test_texts_and_classes_are_compared_with_the_test_file(tmp_path: Path) -> None:
    train = written(tmp_path / "a.csv", [("one", "x"), ("One!", "x"), ("two", "y")])
    test = written(tmp_path / "b.csv", [("one", "x"), ("three", "z")])
    overlap = checked(train, test=test).overlap
    assert overlap is not None
    assert (overlap.name, overlap.rows, overlap.new) == ("b.csv", 2, ("z",))


def test_long_texts_and_unknown_tokens_are_counted(
    model_folders: dict[str, Path], tmp_path: Path
) -> None:
    rows = [("the film", "x"), ("the " * 6, "x"), ("the " * 9, "y"), ("好", "y")]
    file = written(tmp_path / "in.csv", rows)
    by_words, by_tokens = checked(file), checked(file, model=model_folders["bert"])
    assert (by_words.long, by_words.counts) == (1, None)
    assert by_tokens.counts is not None
    # Two of the eight tokens are special, so six words fit and nine do not.
    assert (by_tokens.counts.texts, by_tokens.counts.cut, by_tokens.counts.unknown) == (4, 1, 1)


def test_sets_of_labels_and_scores_are_read_as_such(tmp_path: Path) -> None:
    sets = [("a", "joy|fear"), ("b", '["joy"]'), ("c", ""), ("d", "fear|joy")]
    found = checked(written(tmp_path / "sets.csv", sets), task=TaskKind.multi_label)
    assert found.names == {"joy": 3, "fear": 2}
    assert found.majority == (("fear", "joy"), 0.5)
    scores = [("a", "1"), ("b", "2.5"), ("c", "much"), ("d", "4")]
    numbers = checked(written(tmp_path / "scores.csv", scores), task=TaskKind.regression)
    assert numbers.spread[:3] == (1, 2.5, 4)
    assert numbers.without_label == 1


def judged(run: Path, file: Path, *, top: int = 5) -> Judged:
    found = read_run(run)
    columns = Columns(found.result.data.texts, found.label, TaskKind(found.result.data.task))
    judge, by = find_judge(Student(found, find_device("cpu")))
    return judge_rows(
        open_source(str(file)),
        columns,
        judge,
        by=by,
        trained=find_trained_texts(found),
        top=top,
        show=lambda *_: None,
    )


def test_the_least_likely_labels_come_first(start: Start, tmp_path: Path) -> None:
    run = start("one")
    expected = stored(run, ["text"])
    others = {"good": "bad", "bad": "good"}
    wrong = (expected.texts[3], others[expected.predicted[3]])
    rows = [*zip(expected.texts, expected.predicted, strict=True), wrong, ("film", "unheard of")]
    file = written(tmp_path / "in.csv", [(str(text), label) for text, label in rows])
    found = judged(run, file, top=len(rows))
    assert (found.rows, found.unknown) == (len(rows) - 1, 1)
    likelihoods = [one.likelihood for one in found.doubtful]
    assert likelihoods == sorted(likelihoods)
    teacher = Student(read_run(run), find_device("cpu")).teachers["bert-base-uncased"]
    by_row = {one.row: one for one in found.doubtful}
    asked = by_row[len(rows) - 1]
    at = teacher.classes.index(wrong[1])
    assert asked.likelihood == pytest.approx(teacher.predict_proba([str(wrong[0])])[0, at])
    assert (asked.label, asked.answer) == (wrong[1], *teacher.predict([str(wrong[0])]))


@pytest.mark.parametrize("kind", ["of scores", "of several labels", "of pairs"])
def test_every_kind_of_label_can_be_doubted(kind: str, start: Start) -> None:
    found = judged(start(kind), start(kind).parent / "test.csv")
    assert found.by == "the run's student"
    assert found.rows == 50
    assert found.doubtful[0].likelihood <= found.doubtful[-1].likelihood
    assert found.doubtful[0].likelihood <= (0 if kind == "of scores" else 1)


def test_rows_that_the_run_may_have_trained_on_are_marked(start: Start, tmp_path: Path) -> None:
    folder = start("one").parent
    rows = read_run(start("one")).result.data.rows
    assert judged(start("one"), folder / "train.csv").trained == rows["train"] + rows["quiz"]
    assert judged(start("one"), folder / "test.csv").trained == 0
    shutil.copytree(start("one"), tmp_path / "one")
    for name in ("train.csv", "quiz.csv"):  # a run that keeps no predictions on these
        (tmp_path / "one" / "predictions" / name).unlink()
    expected = 150 - rows["validation"]
    assert judged(tmp_path / "one", folder / "train.csv").trained == expected
    copied = written(tmp_path / "copy.csv", [("GOOD dull dull dull!", "good")])
    (first,) = judged(start("one"), copied).doubtful
    assert first.trained is False


def test_without_the_runs_own_file_nothing_is_claimed(start: Start, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "one"
    shutil.copytree(start("one"), run)
    found = read_run(run)
    data = found.result.provenance.data["task"]
    assert find_trained_texts(found) is not None
    (Path(str(data.path)) / "train.csv").rename(tmp_path / "away.csv")
    try:
        assert find_trained_texts(found) is None
    finally:
        (tmp_path / "away.csv").rename(Path(str(data.path)) / "train.csv")


def test_labels_that_the_run_does_not_know_are_refused(start: Start, tmp_path: Path) -> None:
    file = written(tmp_path / "in.csv", [("a film", "5 stars")])
    with pytest.raises(Refused, match="knows none of the file's labels"):
        judged(start("one"), file)
