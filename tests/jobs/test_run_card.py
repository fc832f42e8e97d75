"""The runs and sweeps that W&B shows, read back from its files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.tiny import command
from support.wandb_runs import inspect, run_folders


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "no-settings"))


def tracked(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The run's record and its summary."""
    (wandb_folder,) = run_folders(folder)
    records = inspect(wandb_folder)
    (run,) = records["run"]
    return run, {
        k: json_value for part in records["summary"] for k, json_value in part["update"].items()
    }


def test_each_sweep_is_a_group_whose_runs_are_called_by_what_varies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def launch(*asked: str) -> None:
        common = (f"store.dir={tmp_path}/store", "method=kd", "teacher=bert", "tracker=wandb")
        assert command(monkeypatch, *common, *asked) == 0

    launch("-m", "method.temperature=1,2", f"output_dir={tmp_path}/first")
    launch("-m", "method.temperature=1,2", "seed=1", f"output_dir={tmp_path}/second")
    launch(f"output_dir={tmp_path}/single")
    groups = {}
    for sweep in ("first", "second"):
        for job, name in enumerate(("method.temperature=1", "method.temperature=2")):
            run, _ = tracked(tmp_path / sweep / str(job))
            assert run["display_name"] == name
            groups.setdefault(sweep, set()).add(run["run_group"])
    assert [len(found) for found in groups.values()] == [1, 1]
    assert groups["first"] != groups["second"]
    assert groups["first"].pop().startswith("first-")
    run, summary = tracked(tmp_path / "single")
    assert run["display_name"] == "kd · synthetic · distilbert-base-uncased · seed 1"
    assert not run.get("run_group")
    launch("tracker.group=mine", f"output_dir={tmp_path}/named")
    assert tracked(tmp_path / "named")[0]["run_group"] == "mine"
    _compare(summary, tmp_path / "single")


def _compare(summary: dict[str, Any], folder: Path) -> None:
    """The summary's figures are those of `result.json`."""
    result = json.loads((folder / "result.json").read_text())
    gain, (teacher,) = result["baseline"]["gain"]["test"], result["teachers"]
    expected = {
        "student/name": "distilbert-base-uncased",
        "teachers/names": "bert-base-uncased",
        "student/parameters": result["student"]["parameters"],
        "gain/test/accuracy": gain["difference"],
        "gain/test/accuracy_low": gain["low"],
        "gain/test/accuracy_high": gain["high"],
        "teacher/bert-base-uncased/test/accuracy": teacher["metrics"]["test"]["accuracy"],
        "run_folder": str(folder),
    }
    for split in ("validation", "test"):
        for metric in ("accuracy", "macro_f1"):
            expected[f"{split}/{metric}"] = result["metrics"][split][metric]
    assert {name: summary[name] for name in expected} == pytest.approx(expected)
    assert summary["seconds"] > 0
