"""Loads a run's student in torch, from the run folder or with its vocabulary cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from distill_runner.export.cut_model import in_cut_folder
from distill_runner.models import loading
from distill_runner.models.learner import Learner
from distill_runner.serving.finished_run import RunFolder, read_run
from distill_runner.serving.student import Student
from distill_runner.tasks.base import Task
from distill_runner.tasks.kinds import find_task


def load_student(run_folder: Path, *, cut: Path | None = None) -> Student:
    """Load the student as `distill_runner.load` does, on the CPU.

    Args:
        run_folder: the run folder.
        cut: where its model with a cut vocabulary lies; None: the run's own.
    """
    run = read_run(run_folder)
    return Student(run if cut is None else in_cut_folder(run, cut), torch.device("cpu"))


def load_members(run: RunFolder) -> list[Learner]:
    """Load the student's members without any shortcut of the forward pass, to be exported."""
    data = run.result.data
    return load_plain(
        dict(zip(run.student_names, run.student_folders, strict=True)),
        task=find_task(data.task),
        classes=data.classes,
        max_tokens=data.max_tokens,
        key="run_folder",
    )


def load_plain(
    folders: Mapping[str, Path],
    *,
    task: Task,
    classes: Sequence[str],
    max_tokens: int,
    key: str,
) -> list[Learner]:
    """Load trained classifiers, by name, without any shortcut of the forward pass."""
    found = [
        loading.load_trained(
            folder, name=name, task=task, classes=classes, max_tokens=max_tokens, key=key
        )
        for name, folder in folders.items()
    ]
    for learner in found:
        learner.module.eval()
    return found
