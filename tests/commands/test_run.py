"""`distill_runner.run` does what `distill-run` does, and leaves the process as it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.hydra import Hydra
from hydra.core.global_hydra import GlobalHydra
from support.tiny import SHRUNK, command

import distill_runner
from distill_runner import DistillError, Refused
from distill_runner.results.schema import RunResult
from distill_runner.results.typed_json import from_json, parse


def words(tmp_path: Path, *more: str) -> list[str]:
    return [*SHRUNK, "method=finetune", f"store.dir={tmp_path / 'store'}", *more]


def test_the_result_is_what_the_run_folder_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    result = distill_runner.run(words(tmp_path, f"output_dir={folder}"), show=False)
    assert result == from_json(RunResult, parse((folder / "result.json").read_text()))
    assert result.method == "finetune"
    assert capsys.readouterr().out == ""
    assert "Plan: finetune" in (folder / "log.txt").read_text()


def test_a_second_run_finds_what_the_command_has_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = words(tmp_path, f"output_dir={tmp_path / 'typed'}")
    assert command(monkeypatch, *typed[len(SHRUNK) :]) == 0
    result = distill_runner.run(words(tmp_path, f"output_dir={tmp_path / 'called'}"), show=False)
    assert not any(stage.trained_now for stage in result.stages.values())
    for seed in (2, 3):
        again = distill_runner.run(
            words(tmp_path, f"output_dir={tmp_path / str(seed)}", f"seed={seed}"), show=False
        )
        assert again.seed == seed


def test_a_refusal_is_raised_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        distill_runner.run(["method=kdd", f"output_dir={tmp_path / 'run'}"])
    assert refused.value.key == "method"
    assert refused.value.way_out == "method=kd"
    assert not (tmp_path / "run").exists()


def test_a_failure_is_raised_with_its_cause(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("not a folder")
    with pytest.raises(DistillError, match=r"store\.dir"):
        distill_runner.run(words(tmp_path, f"output_dir={tmp_path / 'run'}"), show=False)


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (["-m", "seed=1,2"], "takes no flag"),
        (["--cfg", "job"], "takes no flag"),
        (["seed=1,2"], "several values"),
        ("method=kd", "takes a list"),
        ([1], "takes a list"),
        (["dry_run=true", *SHRUNK, "method=finetune"], "A dry run has no result"),
    ],
)
def test_what_leads_to_no_single_result_is_refused(
    overrides: list[str], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refused, match=reason) as refused:
        distill_runner.run(overrides)
    assert not (refused.value.way_out or "").startswith("-")
    assert list(tmp_path.iterdir()) == []


def test_the_process_is_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("a: 1\n")
    terminated, mode = signal.getsignal(signal.SIGTERM), Hydra.get_mode
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        mine = GlobalHydra.instance().hydra
        distill_runner.run(words(tmp_path, f"output_dir={tmp_path / 'run'}"), show=False)
        assert GlobalHydra.instance().hydra is mine
        assert compose("mine").a == 1
    assert signal.getsignal(signal.SIGTERM) is terminated
    assert Hydra.get_mode is mode
    assert "HYDRA_FULL_ERROR" not in os.environ


def test_a_run_may_be_made_in_another_thread(tmp_path: Path) -> None:
    found = []

    def work() -> None:
        found.append(distill_runner.run(words(tmp_path, f"output_dir={tmp_path / 'run'}")))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert [result.method for result in found] == ["finetune"]


@pytest.mark.slow
def test_a_script_that_runs_with_two_processes_is_not_run_by_the_second(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    folders = [f"store.dir={tmp_path / 'store'}", f"output_dir={tmp_path / 'run'}"]
    asked = [*SHRUNK, "method=kd", "teacher=bert+roberta", "runtime.processes=2", *folders]
    script.write_text(
        "import distill_runner\nprint('once')\n"
        f"result = distill_runner.run({asked!r}, show=False)\n"
        "print(sorted(result.stages))\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    stages = "['baseline', 'kd', 'teacher/bert-base-uncased', 'teacher/roberta-base']"
    assert done.stdout.splitlines() == ["once", stages]
    assert done.stderr == ""
