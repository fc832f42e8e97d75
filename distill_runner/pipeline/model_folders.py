"""Finds the folder of every model of a plan: local, downloaded, or built here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distill_runner.config.schema import BuiltModel, Config
from distill_runner.hub.locate import hub_revision, locate_model, weight_files
from distill_runner.models import untrusted
from distill_runner.models.stand_ins import build
from distill_runner.models.static import HIDDEN_UNITS
from distill_runner.pipeline.task_data import TaskData
from distill_runner.planning.stages import TASK, UNLABELLED, ModelSpec, Stage
from distill_runner.storage.integrity import Say, provide
from distill_runner.storage.store import Store, key_of, plain

_STAND_INS = 3  # version; raise it when stand-ins are made or stored differently


class ModelFolders:
    """Finds the folder of each model once, and remembers it.

    Args:
        data: the plan's data sets, by name.
        store: keeps the models that are built here.
        say: reports damage in the store.
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
        """Return the local folder of the stage's model.

        Raises:
            Refused: the model cannot be found.
        """
        spec = stage.learner
        # A stand-in's shape may depend on where it starts.
        name = f"{spec.id} {spec.built}"
        if name not in self._folders:
            self._folders[name] = self._locate(spec) if spec.built is None else self._build(spec)
        return self._folders[name]

    def shape_of(self, stage: Stage) -> Any:
        """Return the model that the folder's config describes, without weights."""
        folder = self.folder_of(stage)
        if folder not in self._shapes:
            self._shapes[folder] = untrusted.check_config(folder, key=stage.learner.config_key)
        return self._shapes[folder]

    def has_weights(self, folder: Path) -> bool:
        """Return False for a hub model whose weights a dry run does not download."""
        return not (self._config.dry_run and hub_revision(folder) and not weight_files(folder))

    def weights_in_layers(self, stage: Stage) -> int:
        """Count the weights that every token passes through: those of the layers kept."""
        shape, layers = self.shape_of(stage), stage.learner.layers
        if layers == ():
            return HIDDEN_UNITS * int(shape.config.hidden_size)
        whole: int = sum(
            weight.numel() for name, weight in shape.named_parameters() if "embed" not in name
        )
        depth: int | None = getattr(shape.config, "num_hidden_layers", None)
        return whole * len(layers) // depth if layers and depth else whole

    @property
    def made_for(self) -> tuple[str, int]:
        """Fingerprint of the training rows whose words a stand-in knows, and its most tokens.

        One tokenizer serves all data sets of a run, because a student may learn from several.
        """
        limit = max(data.max_tokens for data in self._data.values())
        return self._data[TASK].data.fingerprints[self._learnt], limit

    @property
    def _learnt(self) -> str:
        """The split whose words a stand-in knows: the labelled training rows, if there are any."""
        return "train" if self._data[TASK].has("train") else UNLABELLED

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
        texts = self._data[TASK].data.splits[self._learnt]["text"]
        provide(folder, lambda made: build(built, texts, made, max_tokens=limit), say=self._say)
        return folder
