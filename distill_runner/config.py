"""The composed configuration, typed, and what Hydra itself lets through."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from distill_runner.errors import Refused
from distill_runner.schema import Config


def config_path() -> str:
    """The folder of `conf/`: inside the package in a wheel, beside it in a checkout.

    Raises:
        Refused: there is none.
    """
    here = Path(__file__).resolve().parent
    for folder in (here / "conf", here.parent / "conf"):
        if (folder / "config.yaml").is_file():
            return str(folder)
    raise Refused("This installation has no conf/ folder.", way_out="install distill-run again")


def register_schema() -> None:
    """Make `schema` known to the defaults list of `config.yaml`."""
    ConfigStore.instance().store(name="schema", node=Config)


def check_overrides(overrides: Sequence[str]) -> None:
    """Refuse what Hydra would take without a word: keys that are added or removed.

    Raises:
        Refused: at the first of them.
    """
    for override in overrides:
        if override.startswith(("+", "~")) and not override.startswith("+hydra"):
            key, _, value = override.lstrip("+~").partition("=")
            raise Refused(
                "Keys can be changed, not added or removed.",
                key=override[: len(override) - len(override.lstrip("+~"))] + key,
                value=value,
                rule="one of the keys that `distill-run --cfg job` prints",
                way_out=f"{key}={value or 'VALUE'}",
            )


def typed(config: DictConfig) -> Config:
    """The configuration as dataclasses, every interpolation resolved.

    Raises:
        OmegaConfBaseException: a mandatory value is missing, or one has the wrong type.
    """
    return cast(Config, OmegaConf.to_object(config))


def raw_method(config: DictConfig) -> dict[str, Any]:
    """The method's node with its interpolations as written."""
    node = OmegaConf.to_container(config.method, resolve=False)
    return cast("dict[str, Any]", node)
