"""A search measures, trains in rounds, tests its finalists once, and goes on where it stopped."""

from __future__ import annotations

import csv
import shlex
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import pytest
from support.searching import PLAIN, WORDS, Searched, search_with
from support.tiny import SHRUNK, command
from typer.testing import CliRunner

import distill_runner
from distill_runner import Refused
from distill_runner.commands.distill import main
from distill_runner.export.extra import PACKAGES
from distill_runner.search.asked import read_words
from distill_runner.search.found import Found
from distill_runner.search.points import Variant, name_point
from distill_runner.search.record import SearchFolder
from distill_runner.search.report import lines_of
from distill_runner.search.search import measure
from distill_runner.serving.finished_run import read_run

KD = (*SHRUNK, "method=kd", "teacher=bert", *PLAIN)


def quiet(_: str) -> None:
    """Print nothing."""


def folder_of(searched: Searched, variant: Variant) -> Path:
    words = searched.found.words[variant]
    return Path(next(one.partition("=")[2] for one in words if one.startswith("output_dir=")))


def rows_of(searched: Searched) -> list[dict[str, str]]:
    with (searched.found.folder / "frontier.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_student_is_measured_before_any_is_trained(searched: Searched) -> None:
    assert searched.lines[0] == "measuring 3 students with random weights"
    names = {point.name for point in searched.measured.points}
    shapes = {variant.folder for variant in searched.measured.variants}
    assert names == {f"{shape}/{form}" for shape in shapes for form in ("torch", "cut")}
    assert all(point.cost.p95 >= point.cost.p50 > 0 for point in searched.measured.points)


def test_layers_that_the_teacher_lacks_are_left_out_and_named(searched: Searched) -> None:
    assert searched.found.left_out == ("left out: 3 layers, since bert-base-uncased has 2",)
    assert searched.found.left_out[0] in lines_of(searched.found)


def test_a_measured_size_is_that_of_the_trained_students_files(searched: Searched) -> None:
    for point in searched.measured.points:
        folder = folder_of(searched, point.variant)
        files = [path for path in (folder / "student").iterdir() if path.name != "README.md"]
        size = sum(path.stat().st_size for path in files)
        assert point.form == "cut" or point.cost.size == size


def test_a_round_has_a_third_of_the_steps_of_the_next(searched: Searched) -> None:
    limits = [
        next((one for one in words if one.startswith("training.max_steps=")), "to the end")
        for words in searched.runs
    ]
    # 64 rows in batches of 8, 4 times
    assert limits[:3] == ["training.max_steps=10"] * 3
    assert set(limits[3:]) == {"to the end"}


def test_a_dropped_student_is_in_the_csv_with_its_round(searched: Searched) -> None:
    rows = rows_of(searched)
    trained = {row["student"] for row in rows if row["form"]}
    dropped = {row["student"]: row["dropped_after_round"] for row in rows if not row["form"]}
    assert trained | dropped.keys() == {"static", "1 layer", "2 layers"}
    assert not trained & dropped.keys()
    assert {each.variant.shape for each in searched.found.dropped} == dropped.keys()


def test_a_student_in_torch_has_the_scores_of_its_run(searched: Searched) -> None:
    tested = {one.point.name: one for one in searched.found.tested}
    for one in searched.found.trained:
        if one.point.form != "torch":
            continue
        metrics = read_run(folder_of(searched, one.point.variant)).result.metrics
        assert one.score == pytest.approx(metrics["validation"].value)
        if one.point.name in tested:
            score = tested[one.point.name]
            assert score.score == pytest.approx(metrics["test"].value)
            assert score.interval.low == pytest.approx(metrics["test"].low)


def test_only_finalists_have_a_test_score(searched: Searched) -> None:
    tested = {row["student"] + row["form"] for row in rows_of(searched) if row["test"]}
    finalists = {one.point.variant.shape + one.point.form for one in searched.found.tested}
    assert tested == finalists
    names = {one.point.name for one in searched.found.tested}
    assert set(SearchFolder(searched.found.folder).record.tested) == names


def test_the_report_answers_whether_a_transformer_is_needed(searched: Searched) -> None:
    said = " ".join(lines_of(searched.found))
    question = searched.found.question
    assert question is not None
    assert "Does this data need a transformer?" in said
    low, high = 100 * question.interval.low, 100 * question.interval.high
    assert f"{100 * question.lead:+.2f} [{low:+.2f}, {high:+.2f}] points" in said


def test_what_is_printed_fits_in_80_columns(searched: Searched) -> None:
    assert max(map(len, lines_of(searched.found))) <= 80


def test_the_picture_is_whole_and_marks_every_finalist_twice(searched: Searched) -> None:
    root = ElementTree.parse(searched.found.folder / "frontier.svg").getroot()
    said = [element.text or "" for element in root.iter() if element.tag.endswith("text")]
    for one in searched.found.tested:
        layers = one.point.variant.layers
        assert said.count(f"{layers}, {one.point.form}" if layers else one.point.form) == 2
    assert said.count("teachers together") == 2


def test_the_report_has_the_command_of_every_student(searched: Searched) -> None:
    report = (searched.found.folder / "README.md").read_text(encoding="utf-8")
    assert all(searched.found.command(variant) in report for variant in searched.found.words)


def test_the_printed_command_makes_the_same_student_again(
    searched: Searched, tmp_path: Path
) -> None:
    variant = searched.found.chosen.point.variant
    program, *words = shlex.split(searched.found.command(variant))
    assert program == "distill-run"
    elsewhere = [one for one in words if not one.startswith("output_dir=")]
    found = distill_runner.run([*elsewhere, f"output_dir={tmp_path / 'found'}"], show=False)
    assert not any(stage.trained_now for stage in found.stages.values())
    words = [*elsewhere, f"output_dir={tmp_path / 'trained'}", "force=true"]
    trained = distill_runner.run(words, show=False)
    assert any(stage.trained_now for stage in trained.stages.values())
    first, *others = (
        (folder / "student" / "model.safetensors").read_bytes()
        for folder in (folder_of(searched, variant), tmp_path / "found", tmp_path / "trained")
    )
    assert others == [first, first]


def test_a_repeated_search_trains_nothing_and_finds_the_same(searched: Searched) -> None:
    again = search_with([*WORDS, *_places(searched)], [], stop_after=0)
    assert again.lines[0] != "measuring 3 students with random weights"
    assert lines_of(again.found) == lines_of(searched.found)


def test_an_interrupted_search_goes_on_and_a_later_one_counts_what_it_tested(
    searched: Searched, tmp_path: Path
) -> None:
    small = [one for one in WORDS if not one.startswith("frontier.layers")]
    words = [*small, _places(searched)[0], f"output_dir={tmp_path / 'search'}", "frontier.rungs=1"]
    runs: list[tuple[str, ...]] = []
    with pytest.raises(KeyboardInterrupt):
        search_with([*words, "frontier.layers=[1]"], runs, stop_after=1)
    assert len(runs) == 1
    first = search_with([*words, "frontier.layers=[1]"], runs).found
    assert len(runs) == len(set(runs)) == 2, "no run was made twice"
    second = search_with([*words, "frontier.layers=[]"], [], stop_after=0).found
    assert second.tested_before == len(names_of(first) - names_of(second)) > 0
    assert second.question is None
    assert "Not answered" in " ".join(lines_of(second))


def names_of(found: Found) -> set[str]:
    return {one.point.name for one in found.tested}


def _places(searched: Searched) -> list[str]:
    store = next(one for one in searched.asked.words if one.startswith("store.dir="))
    return [store, f"output_dir={searched.found.folder}"]


def test_a_budget_that_nothing_meets_names_the_nearest(searched: Searched) -> None:
    words = [*WORDS, *_places(searched)]
    with pytest.raises(Refused, match="The nearest is") as refused:
        measure(read_words([*words, "budget.mb=0.001"]), say=quiet)
    smallest = min(searched.measured.points, key=lambda point: point.cost.size)
    assert smallest.title in str(refused.value)
    way_out = refused.value.way_out
    assert way_out is not None
    assert smallest in measure(read_words([*words, way_out]), say=quiet).fitting


def test_a_kind_beyond_the_budget_is_trained_for_comparison(searched: Searched) -> None:
    points = searched.measured.points
    layered, static = (
        min(one.cost.megabytes for one in points if one.variant.is_static is kind)
        for kind in (False, True)
    )
    words = [*WORDS, *_places(searched), f"budget.mb={(layered + static) / 2}"]
    found = measure(read_words(words), say=quiet)
    assert [one.is_static for one in found.references] == [layered < static]
    assert {one.is_static for one in found.variants} == {True, False}


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(Refused, match="is no folder of a search"):
        SearchFolder(tmp_path)


def test_a_report_that_was_edited_is_not_replaced(tmp_path: Path) -> None:
    folder = SearchFolder(tmp_path / "search")
    folder.write("README.md", "# ours\n")
    SearchFolder(folder.path).write("README.md", "# ours again\n")
    (folder.path / "README.md").write_text("# mine\n")
    with pytest.raises(Refused, match="there is not as a search wrote it"):
        SearchFolder(folder.path)


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["student.layers=[0]"], "student.layers"),
        (["student=minilm_2layer"], "student"),
        (["force=true"], "force"),
        (["frontier.layers=[]", "frontier.static=false"], "frontier.layers"),
    ],
)
def test_what_the_search_decides_itself_is_refused(words: list[str], key: str) -> None:
    with pytest.raises(Refused) as refused:
        read_words([*KD, *words])
    assert refused.value.key == key


def test_a_static_student_that_the_method_cannot_train_is_refused(
    store: Path, tmp_path: Path
) -> None:
    words = ["method=tmkd" if one == "method=kd" else one for one in KD]
    words = [
        *words,
        f"store.dir={store}",
        f"output_dir={tmp_path / 'search'}",
        "frontier.layers=[]",
    ]
    with pytest.raises(Refused, match="has no soft heads") as refused:
        measure(read_words(words), say=quiet)
    assert refused.value.way_out == "frontier.static=false"


def test_students_can_be_cut_from_another_model_than_the_teachers() -> None:
    assert read_words(KD).model == "bert-base-uncased"
    assert read_words([*KD, "student.model=roberta-base"]).model == "roberta-base"


def test_a_search_has_the_same_folder_under_every_budget() -> None:
    folders = {read_words([*KD, *more]).folder for more in ([], ["budget.ms=5"])}
    assert len(folders) == 1
    assert read_words([*KD, "seed=2"]).folder not in folders


@pytest.mark.parametrize("word", ["budget.ms=5", "frontier.static=false", "frontier.rungs=2"])
def test_distill_run_refuses_what_only_the_search_reads(
    word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert command(monkeypatch, "method=finetune", word, f"output_dir={tmp_path / 'run'}") == 2
    assert "read only by `distill frontier`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("budgett.ms=5", "There is no such key."),
        ("budget.ms=0", "budget.ms is out of range."),
        ("noise.word=other", "Nothing in this run reads noise.word."),
        ("seed=1,2", "seed is given several values"),
    ],
)
def test_bad_words_are_refused_as_distill_run_refuses_them(
    word: str, said: str, tmp_path: Path
) -> None:
    words = ["frontier", *KD, word, f"output_dir={tmp_path / 'search'}"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2
    assert said in done.stderr
    assert "-m " not in done.stderr


def test_a_dry_run_prints_what_fits_and_trains_nothing(searched: Searched) -> None:
    before = {path: path.stat().st_mtime_ns for path in searched.found.folder.rglob("*")}
    words = ["frontier", *WORDS, *_places(searched), "dry_run=true"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.stderr
    assert "Of 6 forms 6 fit." in done.stdout
    assert "dry_run=" not in done.stdout
    assert {path: path.stat().st_mtime_ns for path in searched.found.folder.rglob("*")} == before


@pytest.mark.skipif(all(map(find_spec, PACKAGES)), reason="distill-run[export] is installed")
def test_onnx_without_its_packages_is_refused_with_both_ways_out(tmp_path: Path) -> None:
    words = [*SHRUNK, "method=kd", "teacher=bert", f"output_dir={tmp_path / 'search'}"]
    with pytest.raises(Refused, match="packages that are not installed") as refused:
        measure(read_words(words), say=quiet)
    assert "frontier.onnx=false frontier.int8=false" in str(refused.value)


@pytest.mark.slow
@pytest.mark.skipif(
    not all(map(find_spec, PACKAGES)), reason="distill-run[export] is not installed"
)
def test_the_choice_is_exported_and_carded(store: Path, tmp_path: Path) -> None:
    words = [*SHRUNK, "method=kd", "teacher=bert", f"store.dir={store}", "frontier.rungs=1"]
    folder = tmp_path / "search"
    done = CliRunner().invoke(main, ["frontier", *words, f"output_dir={folder}"])
    assert done.exit_code == 0, done.stderr
    exports = list(folder.glob("runs/*/full/export/README.md"))
    assert len(exports) == 1
    with (folder / "frontier.csv").open(encoding="utf-8") as file:
        forms = {row["form"] for row in csv.DictReader(file)}
    assert forms == {"torch", "ONNX", "int8", "cut", "cut ONNX", "cut int8"}


def test_names_of_points_are_unique(searched: Searched) -> None:
    names = [name_point(one.variant, one.form) for one in searched.measured.points]
    assert len(names) == len(set(names))
