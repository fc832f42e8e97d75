"""The name of a run's folder behind its time: method, data, student, a typed seed."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

_LONGEST = 40  # characters of a part


def run_name(*, _root_: DictConfig) -> str:
    """Such as "kd_sst2_distilbert_seed7"; "sweep" for the folder of several runs.

    Args:
        _root_: the whole configuration, as OmegaConf hands it to a resolver.
    """
    # A job's own configuration is without Hydra's node, which is kept aside then.
    hydra = _root_.get("hydra") or HydraConfig.get()
    if hydra.mode is RunMode.MULTIRUN:
        return "sweep"
    typed = {str(item).partition("=")[0] for item in hydra.overrides.task}
    choices = {str(key): str(value) for key, value in hydra.runtime.choices.items()}
    parts = [choices["method"], _data(_root_, choices), _student(_root_, choices, typed)]
    parts += [f"seed{_root_.seed}"] if "seed" in typed else []
    return "_".join(part for part in map(_safe, parts) if part)


def _data(config: DictConfig, choices: Mapping[str, str]) -> str:
    named = choices["dataset"] != "files" or OmegaConf.is_missing(config.dataset, "path")
    return str(config.dataset.name if named else Path(str(config.dataset.path)).stem)


def _student(config: DictConfig, choices: Mapping[str, str], typed: Collection[str]) -> str:
    if "student.model" in typed:
        return str(config.student.model).rstrip("/").rpartition("/")[2]
    return choices["student"]


def _safe(part: str) -> str:
    """The part in letters that every file system takes, and no longer than can be read."""
    return re.sub(r"[^A-Za-z0-9.+-]+", "-", part)[:_LONGEST].strip("-.")
