"""Random commands, data, models and damage: the first draws of one seed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize("draws", [8, pytest.param(200, marks=pytest.mark.slow)])
def test_random_draws_find_nothing(draws: int, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}"}
    done = subprocess.run(
        [sys.executable, "-m", "fuzz", str(draws), "--seed", "2", "--folder", str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert f"draws with anything wrong 0 of {draws}" in done.stdout
