"""Plan, progress and result on the screen: whole words, whole figures, lines that fit."""

from __future__ import annotations

import io
import re
import shlex
import sys
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console, RenderableType
from support.results import (
    a_baseline,
    a_pair_of_teachers,
    a_result,
    a_score,
    a_student,
    a_teacher,
)
from support.tiny import composed, planned, run, shrunk

from distill_runner.command_line.flags import arguments
from distill_runner.command_line.overrides import check_overrides, check_typed_once
from distill_runner.console.names import data_name, layers_of, with_layers
from distill_runner.console.printable import wrap_lines
from distill_runner.console.progress import open_bar
from distill_runner.console.screen import Screen
from distill_runner.console.time_left import TimeEstimator, TimeLeft, duration, format_estimate
from distill_runner.jobs.announcements import show_plan, show_result
from distill_runner.report.closing import next_steps, took_line
from distill_runner.report.fitted import Fitted, Row, break_lines
from distill_runner.report.planned import plan_lines, plan_table
from distill_runner.report.tables import gain_line, result_lines, result_table
from distill_runner.results.files import read_result
from distill_runner.results.schema import RunResult, StageResult, TaughtTeacher
from distill_runner.results.scores import Gain, Score
from distill_runner.tracking.curves import latest_loss

WIDTHS = (60, 80, 120)


def printed(*parts: RenderableType | None, width: int = 80) -> str:
    """What a terminal of that width shows, without spaces at the ends of lines."""
    console = Console(width=width, file=io.StringIO(), highlight=False)
    for part in parts:
        if part is not None:
            text = wrap_lines(part, width) if isinstance(part, str) else part
            console.print(text, markup=False, soft_wrap=isinstance(part, str))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in shown.splitlines())


def on_terminal(width: int, folder: Path | None = None) -> Screen:
    screen = Screen(folder)
    screen.console = Console(
        width=width, file=io.StringIO(), force_terminal=True, color_system=None, highlight=False
    )
    return screen


def shown_on(screen: Screen) -> str:
    return str(screen.console.file.getvalue())  # type: ignore[attr-defined]


# --- the plan -------------------------------------------------------------------------------

PLAN = """\
Plan: metadistil on synthetic (generated sentences)

                                                                 learning
 stage       model             taught by          epochs  steps      rate  seed
 ──────────────────────────────────────────────────────────────────────────────
 teacher     bert-base-        –                       7    658     0.001  1001
             uncased
 teacher     roberta-base      –                       7    658     0.001  1002
 baseline    distilbert-base-  –                       6    564     0.003     1
             uncased
 metadistil  distilbert-base-  bert-base-uncased       6    564     0.003     1
             uncased           and roberta-base

models: all start from random weights, nothing is pre-trained
cost in rows read (a backward pass counts as two): bert-base-uncased and
roberta-base, each 63,000; baseline 54,000; metadistil 180,000 by the student
and 72,000 by each teacher"""
COUNTS = {"task": {"train": 3000, "quiz": 100, "validation": 400, "test": 4000}}


def test_a_plan_can_be_read_at_80_columns() -> None:
    asked = ("method=metadistil", "teacher=bert+roberta", "profile=tiny")
    config, plan = planned(composed(*asked), "metadistil")
    table, lines = plan_table(plan, config, COUNTS), plan_lines(plan, config, COUNTS)
    assert printed(table, *lines) == PLAN


def test_ten_teachers_are_counted_where_they_teach() -> None:
    config, plan = planned(composed("method=kd", "teacher=bert_x10", "profile=tiny"))
    shown = printed(plan_table(plan, config, None), *plan_lines(plan, config, COUNTS))
    assert re.search(r"kd +distilbert-base-uncased +10 +6", shown)
    assert re.search(r"teacher #10 +bert-base-uncased +– +7", shown)
    assert "bert-base-uncased and 9 others, each 63,000" in " ".join(shown.split())


def test_one_checkpoint_as_teacher_and_student_is_named_by_its_layers() -> None:
    config, plan = planned(composed("method=kd", "teacher=minilm", "student=minilm_3layer"))
    shown = printed(plan_table(plan, config, None))
    assert "all-MiniLM-L6-v2 (layers\u00a00–2)" in shown
    assert "random" not in " ".join(plan_lines(plan, config, None))
    assert with_layers("x/y", None) == "y"
    assert layers_of([3]) == "layer\u00a03"
    assert layers_of([0, 2, 4]) == "layers\u00a00,\u00a02,\u00a04"


def test_own_data_are_called_by_their_file(tmp_path: Path) -> None:
    asked = ("method=kd", "dataset=files", f"dataset.path={tmp_path}/reviews.csv")
    config, plan = planned(composed(*asked))
    assert printed(plan_table(plan, config, None)).startswith("Plan: kd on reviews.csv\n")
    named = composed(*asked, "dataset.name=mine")
    assert data_name(planned(named)[0].dataset) == "mine"
    assert data_name(planned(composed("dataset=sst2"))[0].dataset) == "sst2"


def test_a_run_says_device_and_folder_before_it_begins(tmp_path: Path) -> None:
    run(tmp_path / "run", tmp_path / "store", "finetune", "runtime.threads=1")
    log = (tmp_path / "run" / "log.txt").read_text()
    assert "device: CPU, float32, 1 thread\n" in log
    assert f"run folder: {tmp_path}/run\n" in log
    assert "time: known after the first steps\n" in log
    assert "rows of synthetic (generated sentences): 64 train, 16 quiz, 40 validation" in log
    assert re.search(r"^✓ finetune: trained, 16 steps in \d+ s$", log, re.MULTILINE)
    run(tmp_path / "again", tmp_path / "store", "finetune", "runtime.threads=1")
    log = (tmp_path / "again" / "log.txt").read_text()
    assert "✓ finetune: found in the store (" in log
    assert "time: known" not in log
    assert "All stages were found in the store." in log


# --- the result -----------------------------------------------------------------------------


def scores(validation: float, test: float) -> dict[str, Score]:
    return {
        "validation": a_score(validation, macro_f1=validation),
        "test": a_score(test, reach=0.02, macro_f1=test - 0.001),
    }


SECONDS = {
    "teacher/bert-base-uncased": 63.2,
    "teacher/roberta-base": 77.0,
    "baseline": 28.0,
    "metadistil": 101.0,
}
GAIN = Gain(difference=0.021, low=0.008, high=0.034, transferred=0.4, ranking={})
SIZES = {"bert-base-uncased": 139_586, "roberta-base": 152_450}


def taught(name: str, validation: float) -> TaughtTeacher:
    size = SIZES[name]
    return TaughtTeacher(name=name, model=name, layers=None, parameters=size, validation=validation)


def result(**changes: Any) -> RunResult:
    """A made-up one, such as the quickstart's."""
    bert, roberta = SIZES
    student: dict[str, Any] = {"parameters": 19_586, "steps": 564}
    without = scores(0.8625, 0.857)
    found: dict[str, Any] = {
        "method": "metadistil",
        "scored_by": ("accuracy", "macro_f1"),
        "data": replace(
            a_result().data,
            name="synthetic (generated sentences)",
            rows={"train": 6000, "validation": 400, "test": 1000},
        ),
        "teachers": (
            a_teacher(bert, steps=1316, parameters=SIZES[bert], metrics=scores(0.9175, 0.903)),
            a_teacher(roberta, steps=1316, parameters=SIZES[roberta], metrics=scores(0.895, 0.863)),
        ),
        "together": a_pair_of_teachers(scores(0.9275, 0.901)),
        "trained_teachers": (taught(bert, 0.9125), taught(roberta, 0.8925)),
        "student": a_student(
            name="distilbert-base-uncased",
            model="distilbert-base-uncased",
            times_smaller={bert: 7.13, roberta: 7.78},
            **student,
        ),
        "metrics": scores(0.875, 0.878),
        "baseline": a_baseline(without, gain={"test": GAIN}, **student),
        "random_models": (bert, "distilbert-base-uncased", roberta),
        "overrides": ("method=metadistil", "teacher=bert+roberta", "profile=tiny"),
        "stages": {
            name: StageResult(
                role=name.partition("/")[0] if "/" in name else "student",
                key=name,
                trained_now=name != "teacher/roberta-base",
                training_seconds=seconds,
            )
            for name, seconds in SECONDS.items()
        },
    }
    return a_result(**found | changes)


RESULT = """\
metadistil on synthetic (generated sentences): accuracy in % on 400 validation
and 1,000 test rows

                                                                macro_f1
 model                          validation          test [95%]    (test)  steps
 ──────────────────────────────────────────────────────────────────────────────
 teacher bert-base-uncased           91.75  90.30 [88.3, 92.3]     90.20  1,316
 teacher roberta-base                89.50  86.30 [84.3, 88.3]     86.20  1,316
 teachers together                   92.75  90.10 [88.1, 92.1]     90.00      –
 bert-base-uncased, after            91.25                   –         –      –
 metadistil
 roberta-base, after                 89.25                   –         –      –
 metadistil
 distilbert-base-uncased, no         86.25  85.70 [83.7, 87.7]     85.60    564
 teacher
 distilbert-base-uncased,            87.50  87.80 [85.8, 89.8]     87.70    564
 metadistil

Parameters: bert-base-uncased 139,586; roberta-base 152,450;
distilbert-base-uncased 19,586, 7.13 times smaller than bert-base-uncased and
7.78 times smaller than roberta-base.
Models: all start from random weights, nothing is pre-trained.
Gain on test: +2.10 points [+0.80, +3.40] over the same student fine-tuned
without a teacher (95% interval, paired over rows, one seed). The gain is 40% of
the lead that the teachers have."""


def test_a_result_can_be_read_at_80_columns() -> None:
    found = result()
    assert printed(result_table(found), *result_lines(found), gain_line(found)) == RESULT


def gained(points: float, low: float, high: float, transferred: float | None) -> str:
    gain = replace(GAIN, difference=points, low=low, high=high, transferred=transferred)
    baseline = a_baseline(scores(0.8625, 0.857), gain={"test": gain})
    return str(gain_line(result(baseline=baseline)))


def test_only_a_significant_gain_is_given_as_a_share_of_the_teachers_lead() -> None:
    lost = gained(-0.001, -0.01, 0.008, -0.02)
    assert "teachers have" not in lost
    assert "Not significant: the interval includes zero." in lost
    assert "teachers have" not in gained(0.0, -0.01, 0.01, 0.0)
    assert "teachers have" not in gained(0.004, -0.002, 0.01, 0.05)
    assert "teachers have" not in gained(0.02, 0.01, 0.03, None)
    assert "significant" not in gained(-0.02, -0.03, -0.01, None)


def test_what_says_the_same_of_all_models_is_a_line_and_no_column() -> None:
    found = result(teachers=(), together=None, trained_teachers=(), random_models=())
    table, lines = printed(result_table(found)), result_lines(found)
    assert " steps" not in table
    assert "Steps: 564 for every model that was trained." in lines
    assert not [line for line in lines if "random" in line]
    assert found.baseline is not None
    validation = {"validation": found.metrics["validation"]}
    baseline = replace(found.baseline, metrics=validation, gain={})
    found = replace(found, metrics=validation, baseline=baseline)
    assert "test [95%]" not in printed(result_table(found))
    assert "in % on 400 validation rows\n" in printed(result_table(found), width=120)


def test_the_layers_distinguish_the_student_from_its_teacher() -> None:
    found = result()
    student = replace(found.student, model="x/all-MiniLM-L6-v2", layers=(0, 1, 2))
    found = replace(found, student=student)
    shown = printed(result_table(found), width=120)
    assert "all-MiniLM-L6-v2 (layers\u00a00–2), metadistil" in shown
    assert "all-MiniLM-L6-v2 (layers\u00a00–2), no teacher" in shown


# --- any table, any text --------------------------------------------------------------------

NAMES = ("a-very-long-model-name/of_many-words", "bert", "sentence-transformers/all-MiniLM-L6-v2")


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_table_breaks_names_between_words_and_figures_never(width: int) -> None:
    columns = ["model", *(f"figure {n} (test)" for n in range(7))]
    rows = [Row([name, *(f"{10 * n}.25 [1.0, 99.9]" for n in range(7))]) for name in NAMES]
    lines = printed(Fitted("All", columns, rows, names=("model",)), width=width).splitlines()
    assert max(map(len, lines)) <= width
    assert all(f"{10 * n}.25 [1.0, 99.9]" in "\n".join(lines) for n in range(7))
    words = {word for name in NAMES for word in re.split(r"[-/_]", name)}
    seen = {word for line in lines for word in re.findall(r"[A-Za-z]\w*", line.replace("_", " "))}
    assert words <= seen | {"L6", "v2"}


def test_a_name_is_broken_after_hyphens_slashes_and_spaces() -> None:
    for width in range(1, 40):
        pieces = break_lines(NAMES[2], width).split("\n")
        assert "".join(pieces) == NAMES[2]
        assert all(piece.endswith(("-", "/")) for piece in pieces[:-1])


def test_a_sentence_is_broken_between_words_and_a_path_is_not() -> None:
    path = "/a/very/long/path/" + "to/a/file/" * 6 + "model.safetensors"
    shown = wrap_lines(f"  The file {path} is not there.\n  try:  another one", 40)
    assert path in shown.split("\n")[1]
    assert all(line.startswith("  ") for line in shown.split("\n"))
    assert shown.split("\n")[-1] == "  try:  another one"
    words = "one two three " * 30
    assert wrap_lines(words, 33).split() == words.split()
    assert max(map(len, wrap_lines(words, 33).split("\n"))) <= 33


MANY = {
    "kd": ("evaluation.robustness=[0.2]", "evaluation.latency=true"),
    "assistant": ("teacher=bert", "method.assistants=[{model:roberta-base}]"),
    "many_on_many": (),
    "mutual": (),
}


@pytest.fixture(scope="module", params=MANY)
def finished(
    request: pytest.FixtureRequest, store: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    run(folder, store, request.param, *MANY[request.param])
    return request.param, folder


def screens(method: str, folder: Path, store: Path, width: int) -> str:
    """Plan and result, without the lines that are there to be copied."""
    config, plan = planned(shrunk(store, f"method={method}", *MANY[method]), method)
    screen = on_terminal(width)
    show_plan(screen, plan, config, None, sweeping=False)
    found = read_result(folder)
    screen.copyable = lambda _: None  # type: ignore[method-assign,assignment]
    show_result(screen, found, folder=folder, sweeping=False, note=None)
    return shown_on(screen)


def words_of(shown: str) -> set[str]:
    return set(re.findall(r"[^\W\d_]+", shown))


@pytest.mark.parametrize("width", WIDTHS)
def test_no_line_is_too_long_and_no_word_is_broken(
    finished: tuple[str, Path], store: Path, width: int
) -> None:
    shown = screens(*finished, store, width)
    assert max(map(len, shown.splitlines())) <= width
    assert words_of(shown) == words_of(screens(*finished, store, 1000))
    assert "…" not in shown


# --- the time that is left ------------------------------------------------------------------


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_nothing_is_estimated_before_it_is_measured() -> None:
    clock = Clock()
    remaining = TimeEstimator({"teacher": 10.0, "student": 20.0}, clock=clock)
    remaining.begin("teacher")
    assert remaining.left("teacher", step=0, start=0, total=100) is None


def test_the_time_left_is_scaled_from_the_steps_made_to_the_stages_left() -> None:
    clock = Clock()
    remaining = TimeEstimator({"teacher": 10.0, "student": 20.0}, clock=clock)
    remaining.begin("teacher")
    clock.now = 5.0
    assert remaining.left("teacher", step=10, start=0, total=100) == TimeLeft(45.0, 145.0)
    clock.now = 50.0
    remaining.end("teacher", made=1.0)
    clock.now = 60.0  # between two stages nothing is measured
    remaining.begin("student")
    clock.now = 80.0
    assert remaining.left("student", step=20, start=0, total=100) == TimeLeft(80.0, 80.0)


def test_what_is_found_in_the_store_or_made_earlier_takes_no_time() -> None:
    clock = Clock()
    remaining = TimeEstimator({"a": 10.0, "b": 10.0, "c": 10.0}, at_once=2, clock=clock)
    remaining.end("a")
    remaining.begin("b")
    clock.now = 10.0
    left = remaining.left("b", step=75, start=50, total=100)
    assert left == TimeLeft(10.0, 10.0 + 40.0 / 2)


def test_times_are_read_as_they_are_said() -> None:
    assert [duration(s) for s in (0.4, 43, 60, 750, 3600, 7500)] == [
        *("0 s", "43 s", "1 min", "12 min 30 s", "1 h", "2 h 5 min")
    ]
    assert [format_estimate(s) for s in (0.4, 43, 88, 750, 7900)] == [
        *("5 s", "45 s", "1 min 30 s", "12 min", "2 h 10 min")
    ]


@pytest.mark.parametrize("width", [80, 120])
def test_a_bar_stays_on_its_line_with_the_name_whole(width: int) -> None:
    screen, name = on_terminal(width), "teacher bert-base-uncased"
    console = screen.console
    with open_bar(
        console, print, name=name, total=1316, start=0, left=lambda _: TimeLeft(750.0, 2000.0)
    ) as bar:
        bar.show(1150, {"loss": 0.4321, "rate": 1234.5})
        console.print("a line between")
    frames = re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", shown_on(screen))
    lines = [line for line in re.split(r"[\r\n]+", frames) if name in line]
    assert any("1,150/1,316" in line and "12 min left, run 33 min" in line for line in lines)
    assert any("loss 0.432" in line for line in lines)
    assert any("rows/s" in line for line in lines) == (width >= 120)
    assert max(map(len, lines)) <= width


def test_without_a_terminal_a_line_says_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("distill_runner.console.progress._LINE_SECONDS", 0.0)
    lines: list[str] = []
    pipe = Console(file=io.StringIO())
    with open_bar(
        pipe, lines.append, name="kd", total=100, start=0, left=lambda _: TimeLeft(45.0, 130.0)
    ) as bar:
        bar.show(10, {"loss": 0.5, "rate": 1200.0})
    told = "step 10 of 100, loss 0.5000, 1,200 rows/s, about 45 s left (the run: about 2 min)"
    assert lines == [f"  kd: {told}"]


def test_the_loss_of_a_stage_in_training_elsewhere_is_read_from_its_curves(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert latest_loss(path) is None
    path.write_text('{"step": 10, "student/loss": 0.5}\n{"step": 12, "epoch": 1}\n{"step": 20, "st')
    assert latest_loss(path) == (10, 0.5)


# --- the last lines -------------------------------------------------------------------------


def test_the_end_reports_the_time_and_the_stages_found_in_the_store() -> None:
    line = took_line(result(), 750.0)
    assert line == (
        "Done in 12 min 30 s (training: teachers 1 min 3 s, students 2 min 9 s). "
        "1 of 4 stages was found in the store."
    )
    assert "partly side by side" in took_line(result(), 100.0)


def commands(found: RunResult, folder: Path) -> dict[str, list[str]]:
    return {what: shlex.split(line) for what, line in next_steps(found, folder)}


def test_the_command_that_compares_seeds_is_one_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = ["method=kd", "seed=4", "output_dir=x", "teacher=bert", "force=true"]
    typed += ["teacher.models=[bert-base-uncased]", "dataset.path='my file.csv'", "dataset=files"]
    monkeypatch.setattr(sys, "argv", ["/opt/bin/distill-run"])
    program, *rest = commands(result(overrides=tuple(typed), seed=4), Path("x"))["Compare 3 seeds"]
    assert program.endswith("distill-run")
    overrides, sweeping = arguments(rest)
    assert sweeping
    check_overrides(overrides)
    check_typed_once(overrides)
    *others, seeds = overrides
    assert seeds == "seed=4,5,6"
    config, _ = planned(composed(*others, "seed=5"))
    assert (config.seed, config.dataset.path, config.force) == (5, "my file.csv", False)
    assert not [one for one in overrides if one.startswith("output_dir")]


def test_the_line_that_labels_a_file_names_the_run_and_its_columns(
    finished: tuple[str, Path],
) -> None:
    _, folder = finished
    program, *rest = commands(read_result(folder), folder)["Label a file"]
    assert Path(program).name == "distill"
    assert rest == ["predict", str(folder), "FILE", "--text", "text"]


def test_the_line_that_asks_the_student_is_one_that_works(
    finished: tuple[str, Path],
) -> None:
    _, folder = finished
    found = read_result(folder)
    python, dash_c, program = commands(found, folder)["Ask the student"]
    assert (Path(python).name.startswith("python"), dash_c) == (True, "-c")
    with redirect_stdout(io.StringIO()) as answer:
        exec(program, {})
    assert any(name in answer.getvalue() for name in found.data.classes)
