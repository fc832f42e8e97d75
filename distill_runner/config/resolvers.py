"""OmegaConf resolvers for values that `config.yaml` takes from the command line.

${chosen:experiment}    the chosen option of a group
${run_name:}            the part of a run folder's name that follows the time
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

_LONGEST = 40  # characters of a part


def chosen(group: str, *, _root_: DictConfig) -> str | None:
    """Return the name of a group's chosen option; None if there is none, or outside a run.

    Args:
        group: such as "experiment".
        _root_: the whole configuration, as OmegaConf passes it to a resolver.
    """
    if not (_root_.get("hydra") or HydraConfig.initialized()):
        return None
    return _choices(_root_).get(group)


def run_name(*, _root_: DictConfig) -> str:
    """Name a run by method, data, student and typed seed, as in "kd_sst2_distilbert_seed7".

    The folder of a sweep is called "sweep".

    Args:
        _root_: the whole configuration, as OmegaConf passes it to a resolver.
    """
    hydra, choices = _hydra(_root_), _choices(_root_)
    if hydra.mode is RunMode.MULTIRUN:
        return "sweep"
    typed = {str(item).partition("=")[0] for item in hydra.overrides.task}
    parts = [choices["method"], _data(_root_, choices), _student(_root_, choices, typed)]
    parts += [f"seed{_root_.seed}"] if "seed" in typed else []
    return "_".join(part for part in map(_safe, parts) if part)


def _hydra(config: DictConfig) -> DictConfig:
    # The configuration of a job has no Hydra node: Hydra has moved it to HydraConfig.
    node: DictConfig = config.get("hydra") or HydraConfig.get()
    return node


def _choices(config: DictConfig) -> dict[str, str]:
    """Return the chosen option of each group that has one."""
    choices = _hydra(config).runtime.choices
    return {str(group): str(option) for group, option in choices.items() if option is not None}


def _data(config: DictConfig, choices: Mapping[str, str]) -> str:
    named = choices["dataset"] != "files" or OmegaConf.is_missing(config.dataset, "path")
    return str(config.dataset.name if named else Path(str(config.dataset.path)).stem)


def _student(config: DictConfig, choices: Mapping[str, str], typed: Collection[str]) -> str:
    if "student.model" in typed:
        return str(config.student.model).rstrip("/").rpartition("/")[2]
    return choices["student"]


def _safe(part: str) -> str:
    """Shorten the part, and replace characters that some file systems reject."""
    return re.sub(r"[^A-Za-z0-9.+-]+", "-", part)[:_LONGEST].strip("-.")
