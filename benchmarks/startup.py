"""Measures the seconds until the command ends: help, a typo, a dry run, a finished run."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.options import Options
from benchmarks.record import Report
from distill_runner.errors import DistillError

_TINY = ("method=kd", "teacher=bert", "profile=tiny", "training.epochs=1")
_SWEPT = ("method.temperature=1,2,5,10", "seed=1,2")
_FEW_ROWS = ("dataset.generate=400", "dataset.split.validation=100", "dataset.split.test=100")


def run(options: Options, say: Callable[[str], None]) -> Report:
    """Time every command in shuffled order, after one warm-up of the disk cache."""
    with tempfile.TemporaryDirectory(prefix="startup-", dir=options.folder) as folder:
        commands = _commands(Path(folder), options)
        for name, (arguments, status) in commands.items():
            say(f"{name}: {_seconds(arguments, status):.2f} s, not counted")
        shuffle = random.Random(options.seed)
        rounds = []
        for _ in range(options.rounds):
            order = list(commands)
            shuffle.shuffle(order)
            rounds.append({name: _seconds(*commands[name]) for name in order})
    rows = []
    for name in commands:
        seconds = [entry[name] for entry in rounds]
        rows.append([name, *(f"{f(seconds):.2f}" for f in (median, min, max))])
    return Report(
        title="Wall seconds of the whole command, with a warm disk cache",
        columns=("", "median", "least", "most"),
        rows=rows,
        found={"raw": rounds, "commands": {k: _without_places(v[0]) for k, v in commands.items()}},
    )


def _commands(folder: Path, options: Options) -> dict[str, tuple[tuple[str, ...], int]]:
    """Return the commands, and the exit status each must have."""
    run, sweep = (f"output_dir='{folder / name}'" for name in ("run", "sweep"))
    store = f"store.dir='{folder / 'store'}'"
    common = (*_FEW_ROWS, store, "teacher.near_chance=allow", *options.overrides)
    small = (*_TINY, "tracker=none", run, *common)
    tracked = (*_TINY, "tracker=wandb", run, *common)
    swept = ("-m", *_TINY, *_SWEPT, "tracker=none", sweep, *common)
    return {
        "--help": (("--help",), 0),
        "a mistyped option": (("method=kdd", run, store), 2),
        "dry_run=true": ((*small, "dry_run=true"), 0),
        "a finished result": (small, 0),
        "a finished result, W&B offline": (tracked, 0),
        "eight finished jobs": (swept, 0),
    }


def _without_places(arguments: tuple[str, ...]) -> list[str]:
    return [item for item in arguments if not item.startswith(("output_dir=", "store.dir="))]


def _seconds(arguments: tuple[str, ...], status: int) -> float:
    command = [sys.executable, "-P", "-m", "distill_runner.cli", *arguments]
    began = time.perf_counter()
    offline = os.environ | {"WANDB_MODE": "offline"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=offline)
    seconds = time.perf_counter() - began
    if done.returncode != status:
        said = "\n  ".join((done.stderr or done.stdout).strip().splitlines()[-4:])
        raise DistillError(
            f"distill-run {' '.join(arguments)} ended with status {done.returncode}, "
            f"not {status}:\n  {said}"
        )
    return seconds
