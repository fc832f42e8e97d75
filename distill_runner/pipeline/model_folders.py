"""Finds the folder of every model of a plan: local, downloaded, or built here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distill_runner.config.schema import BuiltModel, Config
from distill_runner.hub.locate import hub_revision, locate_model, weight_files
from distill_runner.models import untrusted
from distill_runner.models.stand_ins import build
from distill_runner.pipeline.task_data import TaskData
from distill_runner.planning.stages import TASK, ModelSpec, Stage
from distill_runner.storage.integrity import Say, provide
from distill_runner.storage.store import Store, key_of, plain

_STAND_INS = 3  # how they are made and stored; raise it when that changes


class ModelFolders:
    """Resolves each model once, and keeps the answer.

    Args:
        data: of the data sets that the plan's stages name.
        store: keeps the models that are built here.
        say: told what is damaged in it.
    """

    def __init__(
        self, config: Config, data: Mapping[str, TaskData], *, store: Store, say: Say
    ) -> None:
        self._config = config
        self._data = data
        self._store = store
        self._say = say
        self._folders: dict[str, Path] = {}
        self._shapes: dict[Path, Any] = {}

    def folder_of(self, stage: Stage) -> Path:
        """The local folder of the stage's model.

        Raises:
            Refused: the model is nowhere to be found.
        """
        spec = stage.learner
        # A stand-in's shape may depend on where it starts.
        name = f"{spec.id} {spec.built}"
        if name not in self._folders:
            self._folders[name] = self._locate(spec) if spec.built is None else self._build(spec)
        return self._folders[name]

    def shape_of(self, stage: Stage) -> Any:
        """The model that the folder's config describes, without weights."""
        folder = self.folder_of(stage)
        if folder not in self._shapes:
            self._shapes[folder] = untrusted.check_config(folder, key=stage.learner.config_key)
        return self._shapes[folder]

    def has_weights(self, folder: Path) -> bool:
        """False for a hub's model that a dry run looks at without its weights."""
        return not (self._config.dry_run and hub_revision(folder) and not weight_files(folder))

    def weights_in_layers(self, stage: Stage) -> int:
        """How many weights every token of a row passes through: those of the layers kept."""
        shape, layers = self.shape_of(stage), stage.learner.layers
        whole: int = sum(
            weight.numel() for name, weight in shape.named_parameters() if "embed" not in name
        )
        depth: int | None = getattr(shape.config, "num_hidden_layers", None)
        return whole * len(layers) // depth if layers and depth else whole

    @property
    def made_for(self) -> tuple[str, int]:
        """The training rows whose words a stand-in knows, and the tokens that it can read.

        One tokenizer serves all data sets of a run, for a student may pass through them in turn.
        """
        limit = max(data.max_tokens for data in self._data.values())
        return self._data[TASK].data.fingerprints["train"], limit

    def _locate(self, spec: ModelSpec) -> Path:
        directory = self._config.paths.models
        return locate_model(
            spec.id,
            models_dir=Path(directory) if directory else None,
            key=spec.config_key,
            weights=not self._config.dry_run,
        )

    def _build(self, spec: ModelSpec) -> Path:
        assert spec.built is not None
        built: BuiltModel = spec.built
        fingerprint, limit = self.made_for
        key = key_of([_STAND_INS, plain(built), fingerprint, limit])
        folder = self._store.folder / "built" / key
        texts = self._data[TASK].data.splits["train"]["text"]
        provide(folder, lambda made: build(built, texts, made, max_tokens=limit), say=self._say)
        return folder
