"""A killed run resumes where it was, with the same result to the last bit."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support.tiny import METHODS, SHRUNK, UNSURE

from distill_runner.config.compose import config_path


def command(folder: Path, store: Path, method: str, *, seconds: float = 0.01) -> list[str]:
    asked = (f"method={method}", "method.baseline=never", *UNSURE.get(f"method={method}", ()))
    return [
        *(sys.executable, "-P", "-m", "distill_runner.cli", *SHRUNK),
        *(*asked, "training.epochs=8"),
        *("teacher=bert", f"output_dir={folder}", f"store.dir={store}"),
        *(f"runtime.checkpoint_seconds={seconds}", "runtime.threads=1"),
    ]


def step_of(store: Path) -> int:
    """Of the last point that the unfinished stage has drawn."""
    for path in store.glob("stages/*.unfinished/metrics.jsonl"):
        try:
            whole, _, _ = path.read_text().rpartition("\n")
        except FileNotFoundError:  # The stage has ended since, and its folder has its last name.
            continue
        if whole:
            return int(json.loads(whole.splitlines()[-1])["step"])
    return 0


def kept_step(store: Path) -> int:
    """Of the unfinished stage's checkpoint."""
    (path,) = store.glob("stages/*.unfinished/checkpoint.pt")
    return int(torch.load(path, weights_only=True)["progress"]["step"])


def status_when_sent(asked: list[str], store: Path, at_step: int, sent: signal.Signals) -> int:
    """Send the signal when the student has made so many steps; the exit status."""
    process = subprocess.Popen(
        asked,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # not so behind an &
    )
    deadline = time.monotonic() + 120
    while process.poll() is None:
        assert time.monotonic() < deadline
        # Teachers train for 8 steps here, so a later step is the student's.
        if step_of(store) >= at_step:
            process.send_signal(sent)
            break
        time.sleep(0.005)
    return process.wait()


def stop_during_training(asked: list[str], store: Path, at_step: int, sent: signal.Signals) -> int:
    """Stop the run within the student's training; its checkpoint's step.

    On a busy machine the signal may come when the stage has ended; then from the start, again.
    """
    expected = -sent if sent == signal.SIGKILL else 130
    for _ in range(5):
        status = status_when_sent(asked, store, at_step, sent)
        if any(store.glob("stages/*.unfinished/checkpoint.pt")):
            assert status == expected
            return kept_step(store)
        shutil.rmtree(store)
    raise AssertionError("the run was stopped within its training in none of five attempts")


# An ablation that only sets another's options would be killed in the same stages; those of TMKD
# stand in its base file.
OWN_STAGES = [
    "tmkd",
    *(
        method
        for method in METHODS
        if "\nstages:"
        in Path(config_path(), "method", f"{method}.yaml").read_text(encoding="utf-8")
    ),
]
# Trains teachers and student in one stage, so it has the most to restore.
QUICK = {"metadistil"}


@pytest.mark.parametrize(
    "method",
    [
        method if method in QUICK else pytest.param(method, marks=pytest.mark.slow)
        for method in OWN_STAGES
    ],
)
def test_kill_9_and_the_same_command_again(method: str, tmp_path: Path) -> None:
    at_step = random.Random(method).randint(10, 45)
    quiet = {"stdout": subprocess.DEVNULL, "check": True}
    subprocess.run(command(tmp_path / "whole", tmp_path / "store-1", method), **quiet)
    again = command(tmp_path / "killed", tmp_path / "store-2", method)
    stop_during_training(again, tmp_path / "store-2", at_step, signal.SIGKILL)
    output = subprocess.run(again, capture_output=True, text=True, check=True).stdout
    assert "resumes after step" in output
    assert_same_weights(tmp_path)
    assert_same_curves(tmp_path)


@pytest.mark.parametrize(
    "sent", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM]
)
def test_an_interrupt_loses_no_step(sent: signal.Signals, tmp_path: Path) -> None:
    quiet = {"stdout": subprocess.DEVNULL, "check": True}
    whole = command(tmp_path / "whole", tmp_path / "store-1", "kd", seconds=300)
    subprocess.run(whole, **quiet)
    again = command(tmp_path / "killed", tmp_path / "store-2", "kd", seconds=300)
    reached = stop_during_training(again, tmp_path / "store-2", 20, sent)
    output = subprocess.run(again, capture_output=True, text=True, check=True).stdout
    assert f"resumes after step {reached}\n" in output
    assert_same_weights(tmp_path)
    assert_same_curves(tmp_path)


def assert_same_weights(tmp_path: Path) -> None:
    """Of the run that was stopped and the one that was not."""
    weights = sorted((tmp_path / "whole" / "student").rglob("*.safetensors"))
    assert weights
    for path in weights:
        whole = load_file(path)
        killed = load_file(tmp_path / "killed" / path.relative_to(tmp_path / "whole"))
        assert whole.keys() == killed.keys()
        for name, weight in whole.items():
            assert weight.equal(killed[name]), name


def assert_same_curves(tmp_path: Path) -> None:
    """To the byte: a checkpoint is taken by the clock, and draws no point."""
    curves = [(tmp_path / name / "metrics.jsonl").read_bytes() for name in ("whole", "killed")]
    assert curves[0]
    assert curves[0] == curves[1]
