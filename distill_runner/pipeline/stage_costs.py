"""Estimates the relative costs of a run's stages, for the time left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from distill_runner.pipeline.model_folders import ModelFolders
from distill_runner.pipeline.task_data import TaskData
from distill_runner.planning.stages import UNLABELLED, Plan, Stage, passes_of


def costs_of(
    stages: Iterable[Stage], plan: Plan, data: Mapping[str, TaskData], folders: ModelFolders
) -> dict[str, float]:
    """Return each stage's cost: the rows through each of its models, times the model's size."""
    return {stage.name: _cost(stage, plan, data[stage.data], folders) for stage in stages}


def _cost(stage: Stage, plan: Plan, data: TaskData, folders: ModelFolders) -> float:
    if stage.answers is not None:
        return 0.0
    own, each = passes_of(stage, rows_of(stage, plan, data))
    names = stage.teachers or ((stage.backbone_of,) if stage.backbone_of else ())
    models = [one for one in map(plan.stage, names) if one.answers is None]
    teachers = sum(map(folders.weights_in_layers, models)) if each else 0
    return own * folders.weights_in_layers(stage) + each * teachers


def rows_of(stage: Stage, plan: Plan, data: TaskData) -> int:
    """Count the rows that a stage trains on; of a pool, the most that it may choose."""
    counts = data.data.counts
    pool = stage.algorithm.needs.pool
    if pool is None:
        return plan.rows_of(stage, counts)
    labelled = sum(counts[split] for split in stage.rows if split != UNLABELLED)
    return pool.most_rows(labelled, counts[UNLABELLED])
