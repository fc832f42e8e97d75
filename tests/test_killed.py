"""A run that was killed goes on where it was, with the same result to the last bit."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file
from tiny import METHODS, SHRUNK, UNSURE

from distill_runner.config import config_path


def command(folder: Path, store: Path, method: str) -> list[str]:
    return [
        *(sys.executable, "-P", "-m", "distill_runner.cli", *SHRUNK),
        *(f"method={method}", "method.baseline=never", "training.epochs=8"),
        *UNSURE.get(f"method={method}", ()),
        *("teacher=bert", f"output_dir={folder}", f"store.dir={store}"),
        *("runtime.checkpoint_seconds=0.01", "runtime.threads=1"),
    ]


def curve(store: Path) -> list[str]:
    """The lines written so far by the unfinished stage that is not a teacher's (64 steps)."""
    for path in store.glob("artifacts/*.unfinished/metrics.jsonl"):
        lines = path.read_text().splitlines()
        if lines and len(list(path.parent.glob("checkpoint.pt"))) == 1:
            return lines
    return []


def kill_during_training(folder: Path, store: Path, method: str, at_step: int) -> None:
    process = subprocess.Popen(
        command(folder, store, method), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        lines = curve(store)
        # Teachers train for 8 steps here, so a later step is the student's.
        if lines and json.loads(lines[-1])["step"] >= at_step:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            return
        time.sleep(0.005)
    raise AssertionError(f"the run ended ({process.poll()}) before step {at_step} was seen")


# An ablation that only sets another's options would be killed in the same stages.
OWN_STAGES = [
    method
    for method in METHODS
    if "\nstages:" in Path(config_path(), "method", f"{method}.yaml").read_text(encoding="utf-8")
]


@pytest.mark.parametrize("method", OWN_STAGES)
def test_kill_9_and_the_same_command_again(method: str, tmp_path: Path) -> None:
    at_step = random.Random(method).randint(10, 45)
    quiet = {"stdout": subprocess.DEVNULL, "check": True}
    subprocess.run(command(tmp_path / "whole", tmp_path / "store-1", method), **quiet)
    kill_during_training(tmp_path / "killed", tmp_path / "store-2", method, at_step)
    again = command(tmp_path / "killed", tmp_path / "store-2", method)
    output = subprocess.run(again, capture_output=True, text=True, check=True).stdout
    assert "goes on after step" in output
    weights = sorted((tmp_path / "whole" / "student").rglob("*.safetensors"))
    assert weights
    for path in weights:
        whole = load_file(path)
        killed = load_file(tmp_path / "killed" / path.relative_to(tmp_path / "whole"))
        assert whole.keys() == killed.keys()
        for name, weight in whole.items():
            assert weight.equal(killed[name]), name
