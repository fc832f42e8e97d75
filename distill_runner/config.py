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
    """Refuse what Hydra takes without a word, keys added or removed, or stumbles over, no option.

    Raises:
        Refused: at the first of them.
    """
    for override in overrides:
        group, _, option = override.partition("=")
        options = sorted(path.stem for path in Path(config_path(), group).glob("*.yaml"))
        # An experiment is the one group that may be empty.
        if options and group.isidentifier() and option in ("null", "") and group != "experiment":
            raise Refused(
                f"The group {group} needs an option.",
                key=group,
                value=option,
                rule="one of " + ", ".join(options),
            )
        if override.startswith(("+", "~")) and not override.startswith("+hydra"):
            key, _, value = override.lstrip("+~").partition("=")
            raise Refused(
                "Keys can be changed, not added or removed.",
                key=override[: len(override) - len(override.lstrip("+~"))] + key,
                value=value,
                rule="KEY=VALUE for a key that the configuration has",
                way_out="distill-run --cfg job",
            )


def typed(config: DictConfig) -> Config:
    """The configuration as dataclasses, every interpolation resolved.

    Raises:
        Refused: a mandatory value is missing.
        OmegaConfBaseException: a value has the wrong type.
    """
    for key in sorted(OmegaConf.missing_keys(config)):
        raise Refused(
            f"{key} must be given.", key=key, value="???", rule="a value", way_out=f"{key}=VALUE"
        )
    return cast(Config, OmegaConf.to_object(config))


def raw_method(config: DictConfig) -> dict[str, Any]:
    """The method's node with its interpolations as written."""
    node = OmegaConf.to_container(config.method, resolve=False)
    return cast("dict[str, Any]", node)
