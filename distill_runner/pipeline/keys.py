"""The key of a stage: the hash of everything that decides its weights and scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distill_runner.config.schema import Config, Select
from distill_runner.hub.locate import model_fingerprint
from distill_runner.pipeline.model_folders import ModelFolders
from distill_runner.pipeline.task_data import TaskData
from distill_runner.planning.initialisation import EarlierStudent, TeacherLayers
from distill_runner.planning.stages import Plan, Stage
from distill_runner.runtime.machine import Machine
from distill_runner.storage.store import key_of, plain

# Raise it when a change of the code changes what a stage's settings lead to.
_RECIPE = 5


class StageKeys:
    """Computes each stage's key once; the key holds those of the stages it builds on.

    Args:
        data: of the data sets that the plan's stages name.
        folders: where the plan's models lie; the content of each is part of the key.
    """

    def __init__(
        self,
        config: Config,
        plan: Plan,
        data: Mapping[str, TaskData],
        folders: ModelFolders,
        *,
        machine: Machine,
    ) -> None:
        self._config = config
        self._plan = plan
        self._data = data
        self._folders = folders
        self._machine = machine
        self._known: dict[str, tuple[Stage, str]] = {}

    def key_of(self, stage: Stage) -> str:
        """The stage's key, 16 hex digits.

        Args:
            stage: as it is trained; a baseline may differ from the one in the plan.
        """
        known = self._known.get(stage.name)
        if known is None or known[0] is not stage:
            known = self._known[stage.name] = stage, key_of(self._decided(stage))
        return known[1]

    def _decided(self, stage: Stage) -> dict[str, Any]:
        data, decided = self._data[stage.data], plain(stage)
        # Names do not decide: a method's baseline is another's fine-tuning.
        names = ("name", "role", "group", "backbone_of", "teachers", "learner", "data", "like")
        for name in (*names, "initialisation"):
            del decided[name]
        algorithm, runtime = type(stage.algorithm), self._config.runtime
        selected = stage.training.select is Select.best_validation
        on_cpu = self._machine.device.type == "cpu"
        return {
            "recipe": _RECIPE,
            "stage": decided,
            "algorithm": f"{algorithm.__module__}.{algorithm.__qualname__}",
            "model": self._model(stage),
            "data": data.fingerprints(stage),
            "classes": data.data.label_names,
            "max_tokens": data.max_tokens,
            "upstream": [self._upstream(name) for name in stage.needs_stages],
            "device": self._machine.device.type,
            "precision": self._machine.precision,
            "first_token_only": runtime.first_token_only,
            "cut_vocabulary": runtime.cut_vocabulary,
            "leave_padding_out": on_cpu and runtime.leave_padding_out,
            "cheap_dropout": on_cpu and runtime.cheap_dropout,
            **({"deterministic": True} if self._machine.deterministic else {}),
            **({"compile": True} if runtime.compile else {}),
            **({"selected_by": data.main.value} if selected else {}),
        }

    def _upstream(self, name: str) -> str:
        known = self._known.get(name)
        return known[1] if known else self.key_of(self._plan.stage(name))

    def _model(self, stage: Stage) -> dict[str, Any]:
        """What decides the learner's start: its settings and the content of its folder."""
        settings: dict[str, Any] = plain(stage.learner)
        del settings["config_key"]
        settings["initialisation"] = stage.initialisation.kind
        if isinstance(stage.initialisation, EarlierStudent):
            settings["fresh_head"] = stage.initialisation.fresh_head
        if stage.learner.built is None:
            del settings["id"]
            settings["content"] = model_fingerprint(self._folders.folder_of(stage))
        else:
            data, made_for = self._data[stage.data], self._folders.made_for
            # Else the stage's own rows and limit, which its key has, say how it was made.
            if made_for != (data.data.fingerprints["train"], data.max_tokens):
                settings["made_for"] = made_for
        first = stage.initialisation
        copied = isinstance(first, TeacherLayers) and not first.finetuned
        unchanged = stage.backbone_of or (stage.layers_of if copied else None)
        if unchanged is not None:
            teacher = self._plan.stage(unchanged)
            settings["backbone_of"] = [self._model(teacher), teacher.seed]
        return settings
