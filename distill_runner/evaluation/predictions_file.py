"""The predictions files of a run: cluster, label, prediction and logits by row id; never a text."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np

from distill_runner.errors import DistillError
from distill_runner.tasks.base import Task

if TYPE_CHECKING:
    from datasets import Dataset

FOLDER = "predictions"
# Folders inside it; the deployed student's files lie in it directly.
BASELINE, TEACHERS, TOGETHER, NOISE = "baseline", "teachers", "teachers_together", "under_noise"
PACKED = ".gz"  # what a record adds to the name of its compressed copy
_LOGIT = "logit_"


@dataclass(frozen=True)
class SplitPredictions:
    """One model's predictions on one split, row by row.

    Attributes:
        ids: [rows].
        clusters: [rows], the number of each row's cluster.
        labels: of the rows, as the task uses them.
        logits: [rows, outputs].
    """

    ids: tuple[str, ...]
    clusters: np.ndarray
    labels: np.ndarray
    logits: np.ndarray


def write_predictions(
    path: Path, task: Task, rows: Dataset, logits: np.ndarray, classes: Sequence[str]
) -> None:
    """Write one model's predictions on one split.

    Args:
        rows: of the split, in the order of the logits.
        logits: [rows, outputs].
        classes: names of the outputs.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    predictions = task.predictions(logits, task.labels(rows), classes)
    heads = zip(["id", *rows["id"][:]], ["cluster", *task.clusters(rows).tolist()], strict=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerows(
            [*head, *columns] for head, columns in zip(heads, predictions, strict=True)
        )


def read_predictions(path: Path, task: Task, classes: Sequence[str]) -> SplitPredictions:
    """Read what `write_predictions` wrote, or a record's compressed copy of it (`.csv.gz`).

    Raises:
        DistillError: the file is missing or damaged.
    """
    try:
        with _open(path) as file:
            head, *rows = csv.reader(file)
            columns = dict(zip(head, zip(*rows, strict=True), strict=True))
        outputs = [name for name in head if name.startswith(_LOGIT)]
        if outputs and outputs != [f"{_LOGIT}{name}" for name in classes]:
            raise ValueError(f"its outputs are {', '.join(outputs)}")
        logits = [columns[name] for name in outputs]
        return SplitPredictions(
            ids=columns["id"],
            clusters=np.array(columns["cluster"], dtype=np.int64),
            labels=task.read_labels(columns["label"], classes),
            logits=np.array(logits or [columns["predicted"]], dtype=np.float64).T,
        )
    except FileNotFoundError:
        raise DistillError(f"{path} is missing.") from None
    except (ValueError, KeyError, EOFError, gzip.BadGzipFile, csv.Error) as error:
        raise DistillError(f"{path} is damaged: {error}.") from error


def _open(path: Path) -> TextIO:
    packed = path.with_name(f"{path.name}{PACKED}")
    if packed.is_file() and not path.is_file():
        return gzip.open(packed, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")
