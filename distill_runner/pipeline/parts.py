"""The parts of a run, each made once and shared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from distill_runner.config.schema import Config
from distill_runner.pipeline.finished_stages import FinishedStages
from distill_runner.pipeline.learner_factory import LearnerFactory
from distill_runner.pipeline.logit_cache import LogitCache
from distill_runner.pipeline.model_folders import ModelFolders
from distill_runner.pipeline.stage_key import StageKeys
from distill_runner.pipeline.stage_teachers import StageTeachers
from distill_runner.pipeline.task_data import TaskData
from distill_runner.planning.stages import PRETRAIN, TASK, Plan
from distill_runner.runtime.machine import Machine
from distill_runner.storage.integrity import Say
from distill_runner.storage.store import Store

if TYPE_CHECKING:
    from distill_runner.data.load import Prepared


@dataclass(frozen=True)
class Parts:
    """Rows, models, keys, learners, logits and teachers of a run's stages."""

    data: Mapping[str, TaskData]  # by the name that a stage gives its data set
    store: Store
    finished: FinishedStages
    folders: ModelFolders
    keys: StageKeys
    factory: LearnerFactory
    logits: LogitCache
    teachers: StageTeachers


def assemble(
    config: Config,
    plan: Plan,
    data: Mapping[str, Prepared],
    *,
    machine: Machine,
    say: Say,
    repair: Callable[[str], None],
) -> Parts:
    """Make the parts in the order of their dependencies.

    Args:
        data: the plan's prepared data sets, by name.
        say: reports damage in the store.
        repair: makes a finished stage's artifact again if one of its files is damaged.
    """
    store = Store(Path(config.store.dir), say=say)
    settings = {TASK: config.dataset, PRETRAIN: config.pretrain.dataset or config.dataset}
    rows = {
        name: TaskData(prepared, settings[name], store.folder, say=say)
        for name, prepared in data.items()
    }
    finished = FinishedStages(repair)
    folders = ModelFolders(config, rows, store=store, say=say)
    factory = LearnerFactory(config, plan, rows, folders, machine=machine, finished=finished)
    logits = LogitCache(
        plan,
        rows,
        store=store,
        finished=finished,
        factory=factory,
        machine=machine,
        say=say,
    )
    teachers = StageTeachers(
        plan, rows, finished=finished, factory=factory, logits=logits, machine=machine
    )
    keys = StageKeys(config, plan, rows, folders, machine=machine)
    return Parts(rows, store, finished, folders, keys, factory, logits, teachers)
