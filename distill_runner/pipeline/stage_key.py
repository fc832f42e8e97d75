"""The key of a stage: the hash of its identity, under which the store keeps its artifact.

The identity is every fact that determines the stage's weights and scores. Stages with equal
identities share one artifact. Everything else is irrelevant: the names of stages, their place in
the plan, the module of an algorithm's class.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from distill_runner.config.schema import BuiltModel, Config, Noise, Select, Training
from distill_runner.hub.locate import model_fingerprint
from distill_runner.pipeline.model_folders import ModelFolders
from distill_runner.pipeline.task_data import TaskData
from distill_runner.planning.initialisation import EarlierStudent, TeacherLayers
from distill_runner.planning.stages import Combination, Plan, Stage
from distill_runner.runtime.machine import Machine
from distill_runner.storage.store import key_of

if TYPE_CHECKING:
    from distill_runner.methods.base import Algorithm

# Raise it when a code change makes equal identities lead to other weights or scores, or changes
# the keys of stage.json.
RECIPE = 7


@dataclass(frozen=True)
class ModelIdentity:
    """The content of a model's folder, or how a model is built here."""

    content: str | None  # fingerprint of the folder's files; None for a model built here
    built: BuiltModel | None
    built_from: str | None  # fingerprint of the training texts whose words its tokenizer knows
    built_for: int | None  # the longest text that it can read, in tokens
    layers: tuple[int, ...] | None


@dataclass(frozen=True)
class WeightsIdentity:
    """The weights of a learner before its stage."""

    kind: str  # of the `Initialisation`
    model: ModelIdentity
    seed: int  # of the head, and of all weights of a random start
    output_names: tuple[str, ...] | None  # of a classifier that is used as it is
    earlier: str | None  # key of the stage whose student or layers are copied
    fresh_head: bool
    unchanged_teacher: WeightsIdentity | None  # whose layers are copied from before its stage


@dataclass(frozen=True)
class RowsIdentity:
    """The rows that a stage trains on, and those that it is scored on."""

    trained_on: tuple[str, ...]  # names of splits
    fingerprints: Mapping[str, str]  # of each split that affects the stage
    max_tokens: int
    outputs: tuple[str, ...]  # classes in order; empty if the stage does not read the task
    noise: Noise | None


@dataclass(frozen=True)
class NumericsIdentity:
    """The properties of the machine that change the last digits."""

    device: str
    precision: str
    deterministic: bool
    compiled: bool
    first_token_only: bool
    cut_vocabulary: bool
    leave_padding_out: bool
    cheap_dropout: bool


@dataclass(frozen=True)
class StageIdentity:
    """Everything that determines the artifact of a stage."""

    recipe: int
    algorithm: str  # the id that the algorithm's class declares
    settings: Algorithm
    weights: WeightsIdentity
    teachers: tuple[str, ...]  # keys of their stages
    combination: Combination
    language_teacher: WeightsIdentity | None
    rows: RowsIdentity
    training: Training
    selected_by: str | None  # the metric that chooses the epoch
    seed: int
    first_epoch: int
    numerics: NumericsIdentity


@dataclass(frozen=True)
class AnswersIdentity:
    """Everything that determines the artifact of a teacher that is a file."""

    recipe: int
    answers: str  # SHA-256 of the file
    rows: RowsIdentity


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
            identity = self.identity_of(stage) if stage.answers is None else self._answers(stage)
            known = self._known[stage.name] = stage, key_of(identity)
        return known[1]

    def _answers(self, stage: Stage) -> AnswersIdentity:
        """Return everything that decides the logits and scores of a teacher that is a file."""
        content = self._data[stage.data].answers(stage).sha256
        return AnswersIdentity(recipe=RECIPE, answers=content, rows=self._rows(stage))

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
