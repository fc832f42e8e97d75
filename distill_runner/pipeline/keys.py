"""The key of a stage: the hash of its identity, under which the store keeps its artifact."""

from __future__ import annotations

from collections.abc import Mapping

from distill_runner.config.schema import Config, Select
from distill_runner.hub.locate import model_fingerprint
from distill_runner.pipeline.model_folders import ModelFolders
from distill_runner.pipeline.task_data import TaskData
from distill_runner.planning.identity import (
    RECIPE,
    ModelIdentity,
    NumericsIdentity,
    RowsIdentity,
    StageIdentity,
    WeightsIdentity,
)
from distill_runner.planning.initialisation import EarlierStudent, TeacherLayers
from distill_runner.planning.stages import Plan, Stage
from distill_runner.runtime.machine import Machine
from distill_runner.storage.store import key_of


class StageKeys:
    """Computes each stage's key once; a key includes those of the stages it builds on.

    Args:
        data: the plan's data sets, by name.
        folders: finds the plan's models; the content of each is part of the identity.
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
        """Return the stage's key, 16 hex digits.

        Args:
            stage: as it is trained; a baseline may differ from the one in the plan.
        """
        known = self._known.get(stage.name)
        if known is None or known[0] is not stage:
            known = self._known[stage.name] = stage, key_of(self.identity_of(stage))
        return known[1]

    def identity_of(self, stage: Stage) -> StageIdentity:
        """Return everything that decides the stage's weights and scores."""
        teacher = self._plan.stage(stage.backbone_of) if stage.backbone_of else None
        selected = stage.training.select is Select.best_validation
        return StageIdentity(
            recipe=RECIPE,
            algorithm=stage.algorithm.full_id(),
            settings=stage.algorithm,
            weights=self._weights(stage),
            teachers=tuple(self._upstream(name) for name in stage.teachers),
            combination=stage.combination,
            language_teacher=self._weights(teacher) if teacher else None,
            rows=self._rows(stage),
            training=stage.training,
            selected_by=self._data[stage.data].task.selection_metric.value if selected else None,
            seed=stage.seed,
            first_epoch=stage.first_epoch,
            numerics=self._numerics(),
        )

    def _weights(self, stage: Stage) -> WeightsIdentity:
        first, earlier, unchanged = stage.initialisation, None, None
        if isinstance(first, EarlierStudent):
            earlier = self._upstream(first.stage)
        elif isinstance(first, TeacherLayers) and first.finetuned:
            earlier = self._upstream(first.teacher)
        elif isinstance(first, TeacherLayers):
            unchanged = self._weights(self._plan.stage(first.teacher))
        return WeightsIdentity(
            kind=first.kind,
            model=self._model(stage),
            seed=stage.seed,
            output_names=stage.learner.labels if stage.already_finetuned else None,
            earlier=earlier,
            fresh_head=isinstance(first, EarlierStudent) and first.fresh_head,
            unchanged_teacher=unchanged,
        )

    def _model(self, stage: Stage) -> ModelIdentity:
        spec = stage.learner
        if spec.built is None:
            content = model_fingerprint(self._folders.folder_of(stage))
            return ModelIdentity(content, None, None, None, spec.layers)
        texts, max_tokens = self._folders.made_for
        return ModelIdentity(None, spec.built, texts, max_tokens, spec.layers)

    def _rows(self, stage: Stage) -> RowsIdentity:
        data = self._data[stage.data]
        return RowsIdentity(
            trained_on=stage.rows,
            fingerprints=data.fingerprints(stage),
            max_tokens=data.max_tokens,
            outputs=tuple(data.data.label_names) if stage.reads_task else (),
            noise=stage.noise,
        )

    def _numerics(self) -> NumericsIdentity:
        runtime, on_cpu = self._config.runtime, self._machine.device.type == "cpu"
        return NumericsIdentity(
            device=self._machine.device.type,
            precision=self._machine.precision,
            deterministic=self._machine.deterministic,
            compiled=runtime.compile,
            first_token_only=runtime.first_token_only,
            cut_vocabulary=runtime.cut_vocabulary,
            leave_padding_out=on_cpu and runtime.leave_padding_out,
            cheap_dropout=on_cpu and runtime.cheap_dropout,
        )

    def _upstream(self, name: str) -> str:
        known = self._known.get(name)
        return known[1] if known else self.key_of(self._plan.stage(name))
