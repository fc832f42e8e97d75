"""Makes the learners of a plan's stages, ready on the device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from distill_runner.config.schema import Config
from distill_runner.methods.base import Attachment, StartingStudent
from distill_runner.models import language, loading
from distill_runner.models.fast.dropout import draw_cheaply
from distill_runner.models.learner import Learner
from distill_runner.pipeline.finished_stages import FinishedStages
from distill_runner.pipeline.model_checks import load_language_head
from distill_runner.pipeline.model_folders import ModelFolders
from distill_runner.pipeline.task_data import TaskData
from distill_runner.planning.initialisation import (
    EarlierStudent,
    FinetunedClassifier,
    RandomWeights,
    TeacherLayers,
)
from distill_runner.planning.stages import Plan, Stage
from distill_runner.runtime.machine import Machine
from distill_runner.runtime.seeding import seed_at


class LearnerFactory:
    """Makes a stage's learner as it is at the first step, or as the finished stage left it.

    Args:
        data: the plan's data sets, by name.
        folders: finds the plan's models.
        finished: the artifacts of the stages done so far.
    """

    def __init__(
        self,
        config: Config,
        plan: Plan,
        data: Mapping[str, TaskData],
        folders: ModelFolders,
        *,
        machine: Machine,
        finished: FinishedStages,
    ) -> None:
        self._config = config
        self._plan = plan
        self._data = data
        self._folders = folders
        self._machine = machine
        self._finished = finished

    def learner(self, stage: Stage) -> Learner:
        """Return the learner at the stage's first step."""
        return self.prepare(stage)[0]

    def prepare(self, stage: Stage) -> tuple[Learner, Sequence[Attachment]]:
        """Return the learner at the stage's first step, and what its algorithm attached to it."""
        learner = self._at_start(stage)
        student = StartingStudent(
            learner=learner,
            teachers=len(stage.teachers),
            classes=len(self._data[stage.data].data.label_names),
            seed=stage.seed,
            language_head=lambda: self._language_head(stage, learner),
        )
        # A module that the method makes must not depend on what was drawn before.
        torch.manual_seed(seed_at(stage.seed, "prepare"))
        attachments = stage.algorithm.prepare(student)
        for attachment in attachments:
            learner.attach(attachment.name, attachment.module)
        return self._on_device(learner), attachments

    def load_finished(self, name: str, *, soft_heads: bool = True) -> Learner:
        """Return the learner that the finished stage `name` left."""
        stage = self._plan.stage(name)
        learner = loading.load_trained(
            self._finished.whole(name).model,
            key="store.dir",
            labels=stage.learner.labels,
            soft_heads=soft_heads,
            **self._common(stage),
        )
        return self._on_device(learner)

    def language_teacher(self, stage: Stage) -> Learner:
        """Return the stage's teacher before its fine-tuning, with its language head if any."""
        assert stage.backbone_of is not None
        teacher = self._plan.stage(stage.backbone_of)
        learner = self.learner(teacher)
        head = load_language_head(teacher, self._folders)
        if head is not None:
            language.attach(learner.module, head)
        return learner

    def _at_start(self, stage: Stage) -> Learner:
        """Return the learner with its initial weights, before anything is added to it."""
        spec, folder, first = stage.learner, self._folders.folder_of(stage), stage.initialisation
        common = {**self._common(stage), "key": spec.config_key}
        if isinstance(first, EarlierStudent):
            before = self._finished.whole(first.stage).model
            if not first.fresh_head:
                return loading.load_trained(before, soft_heads=False, **common)
            return loading.new_classifier(
                before, seed=stage.seed, random=False, layers=None, **common
            )
        if isinstance(first, FinetunedClassifier):
            return loading.load_trained(folder, labels=spec.labels, **common)
        return loading.new_classifier(
            folder,
            seed=stage.seed,
            random=isinstance(first, RandomWeights),
            layers=spec.layers,
            teacher=self._source_of_layers(first) if isinstance(first, TeacherLayers) else None,
            **common,
        )

    def _source_of_layers(self, copied: TeacherLayers) -> Path | Any:
        """Return the folder or the classifier from which the learner's layers are copied."""
        if copied.finetuned:
            return self._finished.whole(copied.teacher).model
        return self.learner(self._plan.stage(copied.teacher)).module.cpu()

    def _language_head(self, stage: Stage, learner: Learner) -> language.LanguageHead:
        """Return the teacher's head if it fits the learner, as the layers do; else a fresh one."""
        assert stage.backbone_of is not None
        head = load_language_head(self._plan.stage(stage.backbone_of), self._folders)
        if head is None or not language.fits(head, learner.module):
            folder, key = self._folders.folder_of(stage), stage.learner.config_key
            head = language.load_head(folder, seed=stage.seed, random=True, key=key)
        assert head is not None
        return head

    def _common(self, stage: Stage) -> dict[str, Any]:
        data = self._data[stage.data]
        return {
            "name": stage.label,
            "task": data.task,
            "classes": data.data.label_names,
            "max_tokens": data.max_tokens,
        }

    def _on_device(self, learner: Learner) -> Learner:
        learner.module.to(self._machine.device)
        runtime = self._config.runtime
        plain_cpu = self._machine.device.type == "cpu" and not runtime.compile
        if runtime.cheap_dropout and plain_cpu:
            draw_cheaply(learner.module)
        if runtime.first_token_only:
            learner.read_first_token_only()
        if runtime.leave_padding_out and plain_cpu:
            learner.leave_padding_out()
        if runtime.compile:
            learner.compile()
        return learner
