"""A teacher that is a file trains nothing; what it cannot do is refused in the plan."""

from __future__ import annotations

import pytest
from support.tiny import composed, planned

from distill_runner.config.schema import Missing
from distill_runner.errors import Refused
from distill_runner.planning.initialisation import AnswersFile
from distill_runner.planning.stages import UNLABELLED, Plan

FILE = ("teacher=file", "teacher.path=a/answers.jsonl")
TEXTS = "dataset.unlabelled.path=texts.csv"
NO_LABELS = "dataset.split.train=0"


def plan_of(method: str, *asked: str) -> Plan:
    return planned(composed("profile=tiny", f"method={method}", *asked), method)[1]


def test_its_stage_trains_nothing_and_bears_the_files_name() -> None:
    plan = plan_of("kd", *FILE, "teacher.missing=drop")
    stage = plan.stage("teacher/answers")
    assert stage.initialisation == AnswersFile("a/answers.jsonl", Missing.drop)
    assert (stage.training.epochs, stage.rows) == (0, ())
    assert plan.stage("kd").teachers == ("teacher/answers",)


def test_several_files_are_an_ensemble_and_equal_names_are_numbered() -> None:
    plan = plan_of(
        "kd", "teacher=file", "teacher.path=[a/x.jsonl,b/x.jsonl]", "teacher.weights=[1,3]"
    )
    assert plan.teachers == ("teacher/x", "teacher/x#2")
    assert plan.stage("kd").combination.weights == (0.25, 0.75)


def test_without_labelled_rows_only_texts_are_learnt_and_nothing_is_compared() -> None:
    plan = plan_of("kd", *FILE, TEXTS, NO_LABELS)
    assert plan.stage("kd").rows == (UNLABELLED,)
    assert plan.baseline is None
    assert plan_of("kd", *FILE, TEXTS).baseline == "baseline"


REFUSED = {
    "its teachers are trained": ("metadistil", (), "teacher.path"),
    "it reads the teacher's layers": ("distilbert", (TEXTS,), "teacher.path"),
    "the student starts from its layers": ("kd", ("student.start=teacher",), "student.start"),
    "it would read noise": ("kd", ("noise=mask", "noise.p=0.1"), "noise.seen_by"),
    "validation weighs it": ("kd", ("teacher.weigh_by=validation",), "teacher.weigh_by"),
    "models are named too": ("kd", ("teacher.models=[bert-base-uncased]",), "teacher.path"),
    "no texts without labels": ("kd", (NO_LABELS,), "dataset.split.train"),
    "labels are needed": ("mkd", (TEXTS, NO_LABELS), "dataset.split.train"),
    "a warm start needs labels": (
        "kd",
        (TEXTS, NO_LABELS, "method.warm_start_epochs=1"),
        "dataset.split.train",
    ),
    "a ratio to no rows": (
        "kd",
        (TEXTS, NO_LABELS, "dataset.unlabelled.ratio=2"),
        "dataset.unlabelled.ratio",
    ),
    "classes without rows": (
        "kd",
        (TEXTS, NO_LABELS, "training.class_weights=balanced"),
        "training.class_weights",
    ),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_it_cannot_do_is_refused(reason: str) -> None:
    method, asked, key = REFUSED[reason]
    with pytest.raises(Refused) as refused:
        plan_of(method, *FILE, *asked)
    assert refused.value.key == key
    assert refused.value.way_out


def test_a_teacher_that_must_be_trained_needs_labelled_rows() -> None:
    with pytest.raises(Refused) as refused:
        plan_of("kd", "teacher=bert", TEXTS, NO_LABELS)
    assert refused.value.key == "dataset.split.train"


def test_a_file_and_no_path_is_refused_with_the_way_out() -> None:
    with pytest.raises(Refused, match=r"teacher\.path=answers\.jsonl"):
        plan_of("kd", "teacher=file")
