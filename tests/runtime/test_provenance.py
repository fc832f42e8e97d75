"""A result records its models, data and environment, under the names that the run used."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from support.tiny import run

from distill_runner.hub.locate import hub_revision
from distill_runner.results.origins import Checkout, HubRevision
from distill_runner.results.typed_json import to_json
from distill_runner.runtime.provenance import checkout, surroundings

ROWS = "text,label\n" + "".join(
    f"a {word} film number {n},{label}\n"
    for n in range(60)
    for word, label in (("good", "good"), ("bad", "bad"))
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def teacher(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained classifier's folder."""
    folder = tmp_path_factory.mktemp("teacher")
    run(folder, store, "finetune", "student=bert")
    return folder / "student"


def result_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return found


def test_of_two_identical_folders_the_named_one_is_recorded(
    store: Path, teacher: Path, tmp_path: Path
) -> None:
    found = []
    for name in ("first", "second"):
        taken = shutil.copytree(teacher, tmp_path / f"{name}-teacher")
        student = shutil.copytree(teacher, tmp_path / f"{name}-student")
        models = (f"teacher.models=[{taken}]", f"student.model={student}")
        run(tmp_path / name, store, "metadistil", "teacher=bert", *models, "tracker=jsonl")
        found.append(result_of(tmp_path / name))
    first, second = found
    assert not any(stage["trained_now"] for stage in second["stages"].values())
    assert second["key"] == first["key"]
    assert second["trained_teachers"]
    assert second["teachers_on_training_rows"]
    for name in ("result.json", "metrics.jsonl", "tracker.jsonl", "student/README.md", "log.txt"):
        told = (tmp_path / "second" / name).read_text()
        assert "first-" not in told, name
    assert "second-teacher" in (tmp_path / "second" / "metrics.jsonl").read_text()
    assert second["student"]["name"] == "second-student"


def test_a_result_says_under_what_it_came_about(store: Path, teacher: Path, tmp_path: Path) -> None:
    run(tmp_path, store, "kd", "teacher=bert", f"teacher.models=[{teacher}]")
    provenance = result_of(tmp_path)["provenance"]
    assert provenance["packages"]["torch"] == torch.__version__
    assert provenance["instruction_set"] == torch.backends.cpu.get_cpu_capability()
    assert provenance["processor"]
    assert {"commit", "dirty"} == set(provenance["git"] or {"commit": 1, "dirty": 1})
    assert provenance["models"][str(teacher)]["revision"] is None
    assert len(provenance["models"][str(teacher)]["content"]) == 64
    assert provenance["data"] == {
        "task": {"generated": 200, "path": None, "hub": None, "revision": None, "files": {}}
    }
    key = result_of(tmp_path)["stages"]["kd"]["key"]
    facts = json.loads((store / "stages" / key / "stage.json").read_text())
    assert facts["provenance"] == to_json(surroundings())


def test_a_result_names_the_data_files_and_their_digests(store: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(ROWS)
    generated = ("dataset.generate=0", "dataset.label_names=null", "dataset.split.scheme=random")
    sizes = ("dataset.split.train=60", "dataset.split.validation=20", "dataset.split.test=20")
    path = f"dataset.path={tmp_path}/rows.csv"
    run(tmp_path / "run", store, "finetune", *generated, *sizes, path)
    assert result_of(tmp_path / "run")["provenance"]["data"]["task"] == {
        "generated": 0,
        "path": f"{tmp_path}/rows.csv",
        "hub": None,
        "revision": None,
        "files": {"rows.csv": hashlib.sha256(ROWS.encode()).hexdigest()},
    }


def test_a_folder_of_the_hubs_cache_has_a_revision(tmp_path: Path) -> None:
    snapshot = tmp_path / "hub" / "datasets--nyu-mll--glue" / "snapshots" / "0a1b2c"
    assert hub_revision(snapshot / "sst2") == HubRevision(repo="nyu-mll/glue", revision="0a1b2c")
    assert hub_revision(tmp_path / "snapshots" / "0a1b2c") is None


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git here")
def test_a_checkout_has_a_commit_and_may_be_changed(tmp_path: Path) -> None:
    def git(*asked: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        command = ["git", "-C", str(tmp_path), *who, *asked]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "a.py").write_text("1")
    assert checkout(tmp_path) is None
    git("init", "-q")
    assert checkout(tmp_path) is None  # no commit yet
    git("add", "-A")
    git("commit", "-q", "-m", "one")
    assert checkout(tmp_path) == Checkout(commit=git("rev-parse", "HEAD"), dirty=False)
    (tmp_path / "code" / "a.py").write_text("2")
    assert checkout(tmp_path) == Checkout(commit=git("rev-parse", "HEAD"), dirty=True)
    # Installed below somebody's project, the code is no part of that project's history.
    assert checkout(tmp_path / "code") is None


@pytest.mark.parametrize("secret", ["DISTILL_SECRET_TOKEN", "HF_TOKEN"])
def test_no_environment_variable_is_recorded(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(secret, "hf_not_to_be_told")
    surroundings.cache_clear()
    assert "hf_not_to_be_told" not in json.dumps(to_json(surroundings()))
