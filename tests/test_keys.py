"""The keys of stored stages: pinned, and derived only from what determines a stage.

A pinned key may change with the recipe's version or with the effect of a stage's settings, but
not if code is moved or renamed.
"""

from __future__ import annotations

import csv
import importlib
import pkgutil
import random
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from safetensors.torch import load_file
from support.learners import TEXTS, save_bert
from support.tiny import Bench

from distill_runner import methods
from distill_runner.errors import Refused
from distill_runner.methods.base import Algorithm
from distill_runner.methods.construct import make_algorithm
from distill_runner.methods.finetune import FineTune

KEYS = {
    "kd": {
        "teacher/bert-base-uncased": "ac2f56b233200394",
        "teacher/roberta-base": "0274a17024e435eb",
        "kd": "4522f843df66c25c",
    },
    "metadistil": {"metadistil": "88309b27ce089f17"},
    "tmkd": {
        "pretrain/bert-base-uncased": "75f09db7db18e44c",
        "pretrain": "8b8ed1e03947e4a7",
        "finetune": "333f6d2a609a82d5",
    },
    "distilbert": {"pretrain": "cb841b7069426a22", "finetune": "32b6c88d1a415fa4"},
    "noisy_student": {"generation-1": "2fd55082fe25c8ea"},
}


@pytest.mark.parametrize("method", KEYS)
def test_stages_keep_the_keys_that_were_pinned(method: str, tmp_path: Path) -> None:
    bench = Bench.make(tmp_path, method)
    keys = {
        stage.name: bench.runner.key_of(stage)
        for stage in bench.plan.stages
        if not stage.compared_with
    }
    assert {name: keys[name] for name in KEYS[method]} == KEYS[method]


# --- the id of an algorithm ----------------------------------------------------------------


def algorithms(base: type[Algorithm]) -> list[type[Algorithm]]:
    """Every class of the package that derives from `base` and can be a stage's algorithm."""
    found = []
    for derived in base.__subclasses__():
        whole = not derived.__abstractmethods__ and derived.__module__.startswith(methods.__name__)
        found += [*([derived] if whole else []), *algorithms(derived)]
    return found


def test_every_algorithm_declares_an_id_and_no_two_the_same() -> None:
    for module in pkgutil.iter_modules(methods.__path__, f"{methods.__name__}."):
        importlib.import_module(module.name)
    found = algorithms(Algorithm)  # type: ignore[type-abstract]
    assert len(found) >= 7
    for algorithm in found:
        algorithm.check_id(key="method")
    assert len({algorithm.full_id() for algorithm in found}) == len(found)


@dataclass(frozen=True, kw_only=True)
class Mine(FineTune):
    id: ClassVar[str] = "finetune"


@dataclass(frozen=True, kw_only=True)
class Nameless(FineTune):
    pass


def test_an_algorithm_of_another_package_has_that_packages_ids() -> None:
    mine = make_algorithm({"_target_": f"{__name__}.Mine"})
    assert mine.full_id() == f"{__name__}:finetune"
    assert FineTune.full_id() == "finetune"


def test_an_algorithm_without_an_id_of_its_own_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        make_algorithm({"_target_": f"{__name__}.Nameless"}, stage="kd")
    assert refused.value.key == "method.stages.kd.algorithm._target_"
    assert "declares no id of its own" in refused.value.what


def test_moving_an_algorithm_to_another_module_leaves_its_stages_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    benches = [Bench.make(tmp_path, "finetune") for _ in range(2)]
    stages = [bench.plan.stage(bench.plan.deployed) for bench in benches]
    before = benches[0].runner.key_of(stages[0])
    monkeypatch.setattr(FineTune, "__module__", f"{methods.__name__}.elsewhere")
    assert benches[1].runner.key_of(stages[1]) == before


# --- a stage that reads no task --------------------------------------------------------------


def write_csv(path: Path, rows: list[list[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with weights, texts without labels, and labelled rows of two and of three classes."""
    root = tmp_path_factory.mktemp("tasks")
    save_bert(root / "model", layers=2)
    draw = random.Random(1)
    write_csv(root / "texts.csv", [["text"], *([text] for text in TEXTS * 4)])
    for name, classes in (("two", "ab"), ("three", "abc")):
        rows = [[f"{draw.choice(TEXTS)} {at}", classes[at % len(classes)]] for at in range(200)]
        write_csv(root / f"{name}.csv", [["text", "label"], *rows])
    return root


def on_task(store: Path, tasks: Path, name: str, *overrides: str) -> Bench:
    """DistilBERT's recipe on one of the tasks, its student two layers of the teacher."""
    model = tasks / "model"
    files = (
        "dataset.generate=0",
        "dataset.label_names=null",
        f"dataset.path={tasks / name}.csv",
        "dataset.unlabelled.generate=0",
        f"dataset.unlabelled.path={tasks / 'texts.csv'}",
    )
    models = (f"teacher.models=[{model}]", f"student.model={model}", "teacher.finetune=always")
    settings = ("teacher=bert", *models, *files, "method.a_ce=0", "method.baseline=never")
    return Bench.make(store, "distilbert", (*settings, *overrides))


def test_the_task_is_not_in_the_identity_of_a_stage_that_learns_language(
    tasks: Path, tmp_path: Path
) -> None:
    keys = []
    for name in ("two", "three"):
        bench = on_task(tmp_path, tasks, name)
        keys.append({stage.name: bench.runner.key_of(stage) for stage in bench.plan.stages})
    assert keys[0]["pretrain"] == keys[1]["pretrain"]
    assert keys[0]["teacher/model"] != keys[1]["teacher/model"]
    assert keys[0]["finetune"] != keys[1]["finetune"]


def test_the_settings_of_a_language_stage_are_in_its_key(tasks: Path, tmp_path: Path) -> None:
    asked = ((), ("method.mask_share=0.2",), ("dataset.unlabelled.rows=5",), ("teacher.seeds=[7]",))
    benches = [on_task(tmp_path, tasks, "two", *overrides) for overrides in asked]
    keys = [bench.runner.key_of(bench.plan.stage("pretrain")) for bench in benches]
    assert len(set(keys)) == len(asked)


def test_one_pretraining_serves_two_tasks_and_changes_nothing_of_either(
    tasks: Path, tmp_path: Path
) -> None:
    alone = on_task(tmp_path / "alone", tasks, "three").runner.run()
    on_task(tmp_path / "shared", tasks, "two").runner.run()
    after = on_task(tmp_path / "shared", tasks, "three").runner.run()
    assert set(alone.trained) == {"teacher/model", "pretrain", "finetune"}
    assert set(after.trained) == {"teacher/model", "finetune"}
    ours, theirs = (
        load_file(outcome.artifacts["finetune"].model / "model.safetensors")
        for outcome in (alone, after)
    )
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(weight, theirs[name]) for name, weight in ours.items())


def test_a_stage_of_language_is_neither_deployed_nor_a_teacher(tmp_path: Path) -> None:
    for asked, key in (
        ("+method.stages.finetune.epochs=0", "method.stages"),
        ("method.stages.finetune.teachers=[pretrain]", "method.stages.finetune.teachers"),
    ):
        with pytest.raises(Refused) as refused:
            Bench.make(tmp_path, "distilbert", ("teacher=bert", asked))
        assert refused.value.key == key
