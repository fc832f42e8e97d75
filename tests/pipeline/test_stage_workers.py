"""Stages of one run in several processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from support.tiny import SHRUNK, Bench, run

from distill_runner.pipeline.stage_workers import count_of, stage_workers
from distill_runner.runtime.machine import Machine
from distill_runner.storage.store import Store

CPU = Machine(torch.device("cpu"), bf16=False)
GPU = Machine(torch.device("cuda"), bf16=True)
TWO_TEACHERS = ("teacher=bert+roberta", "student=distilbert")

# A run that is killed: it has a helper, tells its number, and waits.
_RUN = """
import multiprocessing, threading, time
from distill_runner.pipeline.stage_workers import _exit_with_the_run

def helper():
    threading.Thread(target=_exit_with_the_run, daemon=True).start()
    time.sleep(60)

if __name__ == "__main__":
    process = multiprocessing.get_context("spawn").Process(target=helper, daemon=True)
    process.start()
    print(process.pid, flush=True)
    time.sleep(60)
"""


def result_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return found


def test_two_processes_leave_the_weights_and_figures_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distill_runner.pipeline.stage_workers.cores", lambda: 2)
    run(tmp_path / "one", tmp_path / "store-1", "kd", *TWO_TEACHERS)
    run(tmp_path / "two", tmp_path / "store-2", "kd", *TWO_TEACHERS, "runtime.processes=2")
    one, two = result_of(tmp_path / "one"), result_of(tmp_path / "two")
    for name in ("key", "metrics", "agreement", "together"):
        assert one[name] == two[name]
    for result in (one, two):
        for stage in result["stages"].values():
            del stage["training_seconds"]
    assert json.dumps(one["stages"]) == json.dumps(two["stages"])  # the same order too
    assert one["baseline"]["metrics"] == two["baseline"]["metrics"]
    weights = [tmp_path / name / "student" / "model.safetensors" for name in ("one", "two")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    curves = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("one", "two")]
    steps = [
        [(line["stage"], line["step"]) for line in map(json.loads, text.splitlines())]
        for text in curves
    ]
    assert steps[0] == steps[1]


def test_a_single_worker_trains_every_stage_of_the_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distill_runner.pipeline.stage_workers.cores", lambda: 2)
    bench = Bench.make(tmp_path, "kd", TWO_TEACHERS)
    store, deadline = Store(tmp_path), time.monotonic() + 120
    keys = [bench.runner.key_of(stage) for stage in bench.plan.stages]
    with stage_workers(bench.config, bench.plan, count=1):
        while not all(store.has(key) for key in keys):
            assert time.monotonic() < deadline, "the helper did not make them"
            time.sleep(0.1)


def test_a_run_has_its_threads_back_when_its_helpers_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distill_runner.pipeline.stage_workers.cores", lambda: 2)
    bench = Bench.make(tmp_path, "kd", (*TWO_TEACHERS, "runtime.threads=0"))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with stage_workers(bench.config, bench.plan, count=1):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
def test_a_run_that_waits_for_another_hears_a_clusters_notice(tmp_path: Path) -> None:
    folder, store = tmp_path / "run", tmp_path / "store"
    run(folder, store, "finetune")
    key = result_of(folder)["stages"]["finetune"]["key"]
    shutil.rmtree(store / "stages" / key)
    asked = [
        *(sys.executable, "-P", "-m", "distill_runner.cli"),
        *(*SHRUNK, "method=finetune"),
        *(f"output_dir={folder}", f"store.dir={store}"),
    ]
    with (
        Store(store).claim(key, waiting=lambda: None),
        subprocess.Popen(asked, stdout=subprocess.PIPE, text=True) as waiting,
    ):
        assert waiting.stdout is not None
        assert any("another process trains it" in line for line in waiting.stdout)
        waiting.terminate()
        assert waiting.wait(60) == 130


def test_a_stage_in_training_elsewhere_is_left_for_the_next_that_is_ready(tmp_path: Path) -> None:
    runner = Bench.make(tmp_path, "kd", TWO_TEACHERS).runner
    first, second, *others = runner.preflight().missing
    with Store(tmp_path).claim(runner.key_of(first), waiting=lambda: None):
        assert runner._next([first, second, *others]) is second
        with Store(tmp_path).claim(runner.key_of(second), waiting=lambda: None):
            # The student without a teacher waits for nobody, the one with teachers for both.
            assert runner._next([first, second, *others]).name == "baseline"
            ready = [stage for stage in others if stage.name == "baseline"]
            rest = [stage for stage in others if stage not in ready]
            assert runner._next([first, second, *rest]) is None
    assert runner._next([first, second]) is first


@pytest.mark.parametrize(
    ("asked", "machine", "count"),
    [
        ((), CPU, 0),
        (("runtime.processes=2",), CPU, 1),
        # Two teachers and the student without one: the third has no core, or no stage.
        (("runtime.processes=9",), CPU, 2),
        (("runtime.processes=9",), GPU, 0),
        (("runtime.processes=9", "force=true"), CPU, 0),
    ],
)
def test_no_more_helpers_are_started_than_stages_are_ready(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked: tuple[str, ...],
    machine: Machine,
    count: int,
) -> None:
    monkeypatch.setattr("distill_runner.pipeline.stage_workers.cores", lambda: 8)
    bench = Bench.make(tmp_path, "kd", (*TWO_TEACHERS, *asked))
    assert count_of(bench.config, machine, bench.runner.preflight().missing) == count
    monkeypatch.setattr("distill_runner.pipeline.stage_workers.cores", lambda: 1)
    assert count_of(bench.config, machine, bench.runner.preflight().missing) == 0


def test_a_helper_ends_with_a_run_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "a_run.py"
    script.write_text(_RUN)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        helper = int(parent.stdout.readline())
        assert is_alive(helper)
        time.sleep(1)  # not before it watches
        parent.kill()
    deadline = time.monotonic() + 20
    while is_alive(helper):
        assert time.monotonic() < deadline, "the helper outlives the run"
        time.sleep(0.1)


def is_alive(process: int) -> bool:
    """Whether it runs; one that nobody has buried yet does not."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    listed = Path(f"/proc/{process}/stat")
    return not listed.exists() or listed.read_text().rsplit(")", 1)[1].split()[0] != "Z"
