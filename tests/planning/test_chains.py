"""Stages that are repeated: assistants, generations, and whom each repetition learns from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.tiny import composed, planned, run

from distill_runner.errors import Refused
from distill_runner.planning.stages import Stage


def students(*overrides: str) -> list[Stage]:
    """The plan's stages that are no configured teacher and no baseline."""
    _, plan = planned(composed("teacher=bert", "method.baseline=never", *overrides))
    return [stage for stage in plan.stages if stage.name not in plan.teachers]


def test_each_assistant_learns_from_the_one_before_it_and_the_student_from_the_last() -> None:
    chain = "method.assistants=[{layers:[0,1,2]},{model:roberta-base},{start:random}]"
    stages = students("method=assistant", "student.layers=[0,1]", chain)
    assert [(stage.name, stage.teachers) for stage in stages] == [
        ("assistant-1", ("teacher/bert-base-uncased",)),
        ("assistant-2", ("assistant-1",)),
        ("assistant-3", ("assistant-2",)),
        ("kd", ("assistant-3",)),
    ]
    # What a repetition does not say it has from the student; another model has its own layers.
    learners = [(stage.learner.id, stage.learner.layers) for stage in stages]
    distilbert = "distilbert-base-uncased"
    assert learners == [
        (distilbert, (0, 1, 2)),
        ("roberta-base", None),
        (distilbert, (0, 1)),
        (distilbert, (0, 1)),
    ]
    assert [stage.initialisation.kind for stage in stages] == [
        "pretrained",
        "pretrained",
        "random",
        "pretrained",
    ]
    assert stages[1].learner.config_key == "method.assistants"


def test_each_generation_learns_from_the_one_before_it_with_a_seed_of_its_own() -> None:
    stages = students("method=born_again", "method.generations=3", "seed=5")
    assert [(stage.teachers, stage.seed) for stage in stages] == [
        (("teacher/bert-base-uncased",), 5),
        (("generation-1",), 6),
        (("generation-2",), 7),
    ]


def test_a_chain_without_assistants_is_plain_kd_to_the_bit(tmp_path: Path) -> None:
    store = tmp_path / "store"
    run(tmp_path / "kd", store, "kd", "teacher=bert")
    run(tmp_path / "chain", store, "assistant", "teacher=bert", "method.assistants=[]")
    plain, chain = (
        json.loads((tmp_path / name / "result.json").read_text()) for name in ("kd", "chain")
    )
    assert chain["stages"]["kd"]["key"] == plain["stages"]["kd"]["key"]
    assert not chain["stages"]["kd"]["trained_now"]
    weights = [
        (tmp_path / n / "student" / "model.safetensors").read_bytes() for n in ("kd", "chain")
    ]
    assert weights[0] == weights[1]


def test_the_chain_is_in_the_result_with_each_hops_accuracy(tmp_path: Path) -> None:
    chain = "method.assistants=[{model:bert-base-uncased},{model:roberta-base}]"
    run(tmp_path / "run", tmp_path / "store", "assistant", "teacher=bert", chain)
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    between = result["between"]
    assert [(hop["name"], hop["model"]) for hop in between] == [
        ("assistant-1", "bert-base-uncased"),
        ("assistant-2", "roberta-base"),
    ]
    assert all(0 <= hop["metrics"]["test"]["accuracy"] <= 1 for hop in between)
    screen = (tmp_path / "run" / "log.txt").read_text()
    assert "assistant-2 roberta-base" in screen


def test_the_default_assistant_is_larger_than_the_default_student() -> None:
    _, plan = planned(composed("method=assistant"), "assistant")
    assistant, student = plan.stage("assistant-1").learner, plan.stage("kd").learner
    assert (assistant.id, len(assistant.layers or ())) == ("bert-base-uncased", 8)
    assert student.id == "distilbert-base-uncased"  # six layers as wide


@pytest.mark.parametrize(
    "asked",
    [
        ["method.assistants=[{model:distilbert-base-uncased}]"],
        ["method.assistants=[{}]"],
        ["student=bert"],  # eight of twelve layers, for a student of twelve
        ["student=bert_3layer", "method.assistants=[{layers:[0,1,3]}]"],
    ],
)
def test_an_assistant_no_larger_than_the_student_is_refused(asked: list[str]) -> None:
    with pytest.raises(Refused) as refused:
        planned(composed("method=assistant", *asked), "assistant")
    assert refused.value.key == "method.assistants"
    assert "method=assistant teacher=bert student=tinybert" in str(refused.value)


@pytest.mark.parametrize(
    ("asked", "key"),
    [
        (["method=born_again", "method.generations=0"], "method.stages"),
        (["method=born_again", "method.generations=-1"], "method.generations"),
        (["method=born_again", "method.generations=two"], "method.generations"),
        (["method=assistant", "method.assistants=[bert-base-uncased]"], "method.assistants"),
        (["method=assistant", "method.assistants=[{modle:roberta}]"], "method.assistants.modle"),
        (["method=assistant", "method.assistants=[{layers:3}]"], "method.assistants.layers"),
        (["method=assistant", "teacher.models=[]"], "teacher.models"),
        (["method=kd", "method.stages.kd.teachers=[kd]"], "method.stages.kd.teachers"),
    ],
)
def test_a_chain_that_cannot_be_is_refused(asked: list[str], key: str) -> None:
    with pytest.raises(Refused) as refusal:
        students(*asked)
    assert f"{key} = " in str(refusal.value)
