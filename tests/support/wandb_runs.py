"""Tracked runs, and the files that W&B leaves of them."""

from __future__ import annotations

import importlib.util
import json
import math
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distill_runner.tracking.trackers import JsonLinesTracker, NoTracker, RunCard, Tracker
from distill_runner.tracking.wandb import WandbTracker

TRACKERS: dict[str, type[Tracker]] = {
    "wandb": WandbTracker,
    "jsonl": JsonLinesTracker,
    "none": NoTracker,
}
CARD = RunCard(
    name="kd-seed1",
    project="small",
    group="kd",
    job_type="train",
    tags=("bert", "small"),
    config={"seed": 1, "method": {"name": "kd", "temperature": 2.5, "layers": [0, 2]}},
)


def track(
    folder: Path, *, kind: str = "wandb", midway: Callable[[], None] | None = None
) -> Tracker:
    tracker = TRACKERS[kind]()
    tracker.open(folder, CARD)
    tracker.log({"distill/loss": 1.0, "distill/soft": math.inf}, step=0)
    if midway is not None:
        wait_until(lambda: "not answered yet" not in (tracker.note or ""))
        midway()
    tracker.log({"distill/loss": 0.5, "distill/soft": math.nan}, step=10)
    tracker.finish({"test/accuracy": 0.75, "select": "last"})
    return tracker


def seconds_of(action: Callable[[], object]) -> float:
    start = time.monotonic()
    action()
    return time.monotonic() - start


def wait_until(holds: Callable[[], bool]) -> None:
    limit = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.05)


def run_folders(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob("wandb/*run-*/run-*.wandb"))


def inspect(run_folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The run's records as W&B's own reader gives them, by type."""
    # Not through `wandb leet`, which takes a second to start and reports its use.
    package = importlib.util.find_spec("wandb")
    assert package is not None
    assert package.origin is not None
    command = [str(Path(package.origin).parent / "bin" / "wandb-core"), "leet", "inspect"]
    (file,) = run_folder.glob("run-*.wandb")
    options = ["--no-observability", "--json", "--run-file", str(file), str(run_folder.parent)]
    told = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
    records: dict[str, list[dict[str, Any]]] = {}
    for line in map(json.loads, told.stdout.splitlines()):
        records.setdefault(line["type"], []).append(line[line["type"]])
    return records


def losses(records: dict[str, list[dict[str, Any]]]) -> list[tuple[int, float]]:
    rows = records["history"]
    return [(row["step"].get("num", 0), row["item"]["distill/loss"]) for row in rows]
