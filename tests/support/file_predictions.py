"""Predicts a file as `distill predict` does, in this process and on the CPU."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from distill_runner.serving.file_predictions import FilePredictions, Predicted, Request
from distill_runner.serving.finished_run import read_run
from distill_runner.serving.student import Student, find_device

Row = dict[str, str]


def predicted(
    run: Path,
    file: Path,
    output: Path | str,
    show: Callable[..., None] | None = None,
    **more: object,
) -> Predicted:
    found = read_run(run)
    job = FilePredictions(found, replace(Request(str(file), output=str(output)), **more))  # type: ignore[arg-type]
    return job.predict(Student(found, find_device("cpu")), show or (lambda *_: None))


def read(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
