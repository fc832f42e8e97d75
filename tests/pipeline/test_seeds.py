"""Teachers are separate trainings, with their own seeds and lengths."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.tiny import METHODS, TEACHERS, composed, planned, run

from distill_runner.errors import Refused
from distill_runner.planning.stages import Plan
from distill_runner.report.planned import same_starts

TWICE = "teacher.models=[bert-base-uncased,bert-base-uncased]"


def plan_of(*overrides: str, method: str = "kd") -> Plan:
    given = composed("profile=tiny", f"method={method}", *overrides)
    return planned(given, method)[1]


@pytest.mark.parametrize("method", METHODS)
def test_no_teacher_shares_a_seed_with_a_student_or_another_teacher(method: str) -> None:
    plan = plan_of("teacher=bert+bert", method=method)
    teachers = [stage.seed for stage in plan.stages if stage.is_teacher]
    assert len(set(teachers)) == len(teachers)
    students = {stage.seed for stage in plan.stages if not stage.is_teacher}
    assert not students & set(teachers)


@pytest.mark.parametrize("teacher", TEACHERS)
def test_teachers_are_numbered_from_1001_by_position(teacher: str) -> None:
    plan = plan_of(f"teacher={teacher}")
    seeds = [plan.stage(name).seed for name in plan.teachers]
    assert seeds == list(range(1001, 1001 + len(seeds)))


def test_teachers_of_the_pretraining_data_are_numbered_from_2001() -> None:
    plan = plan_of("teacher=bert+roberta", "teacher@pretrain.teacher=bert+bert", method="tmkd")
    seeds = [plan.stage(name).seed for name in (*plan.teachers, *plan.pretrain_teachers)]
    assert seeds == [1001, 1002, 2001, 2002]


def test_one_teacher_twice_is_no_ensemble() -> None:
    with pytest.raises(Refused) as refusal:
        plan_of("teacher=bert", TWICE, "teacher.seeds=[4,4]")
    assert refusal.value.key == "teacher.seeds"
    assert "would be the same teacher" in str(refusal.value)


def test_one_seed_at_two_learning_rates_is_two_teachers() -> None:
    rates = "teacher.learning_rates=[1e-3,2e-3]"
    plan = plan_of("teacher=bert", TWICE, "teacher.seeds=[4,4]", rates)
    assert [plan.stage(name).seed for name in plan.teachers] == [4, 4]


def test_a_student_that_starts_as_its_teacher_is_reported() -> None:
    alike = ("teacher=bert", "student=bert", "student.layers=null")
    assert same_starts(plan_of(*alike)) == []
    baseline, student = same_starts(plan_of(*alike, "teacher.seeds=[1]"))
    assert "baseline and teacher/bert-base-uncased start from the same weights" in baseline
    assert "kd and teacher/bert-base-uncased start from the same weights" in student
    assert same_starts(plan_of(*alike, "teacher.seeds=[1]", "seed=2")) == []
    assert same_starts(plan_of("teacher=bert", "teacher.seeds=[1]")) == []  # DistilBERT


def test_the_students_limit_of_steps_is_not_the_teachers(tmp_path: Path) -> None:
    run(tmp_path / "run", tmp_path / "store", "kd", "teacher=bert", "training.max_steps=1")
    stages = json.loads((tmp_path / "run" / "result.json").read_text())["stages"]

    def steps(name: str) -> int:
        facts = tmp_path / "store" / "stages" / stages[name]["key"] / "stage.json"
        return int(json.loads(facts.read_text())["training"]["steps"])

    assert {name: steps(name) for name in stages} == {
        "teacher/bert-base-uncased": 2,
        "baseline": 1,
        "kd": 1,
    }


@pytest.mark.parametrize(
    ("asked", "advice"),
    [
        ("teacher.training.max_steps=1", "a larger teacher.training.max_steps than 1"),
        ("teacher.training.learning_rate=1e-9", "more teacher.training.epochs"),
    ],
)
def test_the_refusal_of_a_teacher_advises_what_would_help(
    asked: str, advice: str, tmp_path: Path
) -> None:
    refusing = "teacher.near_chance=refuse"
    with pytest.raises(Refused) as refusal:
        run(tmp_path / "run", tmp_path / "store", "kd", "teacher=bert", refusing, asked)
    assert f"try:  {advice}" in str(refusal.value)


def test_a_teacher_needs_a_step_at_least() -> None:
    with pytest.raises(Refused, match=r"teacher\.training\.max_steps"):
        plan_of("teacher.training.max_steps=0")
