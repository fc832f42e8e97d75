"""The tiny profile at its full size, where there is something to distil."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.tiny import composed

from distill_runner.command_line.overrides import groups_among
from distill_runner.jobs.job import Command, run_job

SEEDS = (11, 12, 13)


def gain(folder: Path, store: Path, seed: int) -> float:
    """The distilled student's lead on test over the one without a teacher."""
    asked = ["method=kd", "teacher=bert", "profile=tiny", "tracker=none", "runtime=cpu"]
    asked += ["runtime.processes=1", f"seed={seed}"]
    folder.mkdir()
    run_job(
        Command(
            composed(*asked, f"store.dir={store}"),
            untyped=lambda: composed(*groups_among(asked), f"store.dir={store}"),
            choices={"method": "kd"},
            overrides=asked,
            folder=folder,
        )
    )
    found = json.loads((folder / "result.json").read_text())
    alone = found["baseline"]["metrics"]["test"]["accuracy"]
    return float(found["metrics"]["test"]["accuracy"] - alone)


@pytest.mark.slow
def test_kd_gains_over_the_same_student_without_a_teacher(tmp_path: Path) -> None:
    gains = [gain(tmp_path / str(seed), tmp_path / "store", seed) for seed in SEEDS]
    assert np.mean(gains) > 0
