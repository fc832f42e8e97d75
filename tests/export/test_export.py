"""An export answers as the student does, and its folder is nobody else's."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

import distill_runner
from distill_runner import DistillError, Refused
from distill_runner.commands.distill import main
from distill_runner.export.export import Exported, export
from distill_runner.export.wanted import Wanted
from distill_runner.jobs.output_folder import changed_file

Start = Callable[[str], Path]
EVERYTHING = Wanted(onnx=True, int8=True, vocabulary="train")
CUT_ONLY = Wanted(onnx=False, int8=False, vocabulary="train")
needs_onnx = pytest.mark.skipif(
    any(sys.modules.get(name, ...) is None for name in ()), reason=""
)


def quiet(line: str) -> None:
    """Print nothing."""


def texts_of(run: Path, columns: tuple[str, ...] = ("text",)) -> list[str] | list[tuple[str, str]]:
    with (run.parent / "test.csv").open(encoding="utf-8") as file:
        rows = [tuple(row[name] for name in columns) for row in csv.DictReader(file)]
    return [row[0] for row in rows] if len(columns) == 1 else [(a, b) for a, b in rows]
