"""Finds the task of a data set or of a trained model."""

from __future__ import annotations

from typing import Any

from distill_runner.config.schema import Dataset
from distill_runner.errors import Refused
from distill_runner.tasks.base import Task
from distill_runner.tasks.classification import Classification
from distill_runner.tasks.multi_label import MultiLabel
from distill_runner.tasks.regression import Regression

_TASKS: tuple[type[Task], ...] = (Classification, Regression, MultiLabel)


def task_of(settings: Dataset) -> Task:
    """Return the task of a data set, with the data set's metrics."""
    found = {task.rules.kind: task for task in _TASKS}[settings.task]
    return found(tuple(settings.metrics))


def find_task(kind: str) -> Task:
    """Return the task of that name, with its default metrics."""
    return {task.rules.kind.value: task for task in _TASKS}[kind]()


def task_of_model(config: Any) -> Task:
    """Return the task that a trained model's config describes, with its default metrics.

    Args:
        config: a transformers config.
    """
    kinds = {task.problem_type: task for task in _TASKS if task.problem_type is not None}
    if config.problem_type in kinds:
        return kinds[config.problem_type]()
    return Regression() if config.num_labels == 1 else Classification()


def check_trained_for(task: Task, config: Any, *, name: str) -> None:
    """Refuse a classifier that was trained for another kind of task.

    One that was trained with softmax, for example, must not be read through sigmoids.

    Args:
        task: the task of the data that the classifier will label.
        config: the classifier's transformers config.
        name: the classifier's name.

    Raises:
        Refused: the classifier was trained for another kind of task.
    """
    trained_for = task_of_model(config).rules.kind
    if trained_for is not task.rules.kind:
        raise Refused(
            f"{name} was trained for dataset.task={trained_for.value}.",
            key="dataset.task",
            value=task.rules.kind.value,
            rule="the task of every classifier that teaches as it is",
            way_out="teacher.finetune=always, or another teacher",
        )
