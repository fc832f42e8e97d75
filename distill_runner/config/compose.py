"""Turns the composed configuration into dataclasses."""

from __future__ import annotations

import typing
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, cast

from hydra.core.config_store import ConfigStore
from omegaconf import Container, DictConfig, ListConfig, OmegaConf

from distill_runner.config.resolvers import chosen, run_name
from distill_runner.config.schema import Config
from distill_runner.errors import Refused


def config_path() -> str:
    """Return the folder `conf/`: inside the package in a wheel, next to it in a checkout.

    Raises:
        Refused: neither folder exists.
    """
    here = Path(__file__).resolve().parents[1]
    for folder in (here / "conf", here.parent / "conf"):
        if (folder / "config.yaml").is_file():
            return str(folder)
    raise Refused("This installation has no conf/ folder.", way_out="install distill-run again")


def option_names(group: str) -> list[str]:
    """Return the options of a group, without base files such as `_base` that options extend."""
    folder = Path(config_path(), group)
    return sorted(path.stem for path in folder.glob("*.yaml") if not path.stem.startswith("_"))


def register_schema() -> None:
    """Register `schema` and the resolvers that `config.yaml` uses."""
    OmegaConf.register_new_resolver("chosen", chosen, replace=True)
    OmegaConf.register_new_resolver("run_name", run_name, replace=True)
    ConfigStore.instance().store(name="schema", node=Config)


def to_dataclasses(config: DictConfig) -> Config:
    """Convert the configuration to dataclasses, with every interpolation resolved and checked.

    Raises:
        Refused: a mandatory value is missing.
        OmegaConfBaseException: a value has the wrong type.
    """
    for key in sorted(OmegaConf.missing_keys(config)):
        raise Refused(
            f"{key} must be given.", key=key, value="???", rule="a value", way_out=f"{key}=VALUE"
        )
    if any(_is_interpolation(config, key) for key in LISTS):
        # OmegaConf checks an interpolated list against its type only after it is resolved.
        plain = OmegaConf.to_container(config, resolve=True)
        config = cast(DictConfig, OmegaConf.merge(OmegaConf.structured(Config), plain))
    for key in sorted(LISTS):
        _check_flat(key, OmegaConf.select(config, key))
    return cast(Config, OmegaConf.to_object(config))


def _is_interpolation(config: DictConfig, key: str) -> bool:
    node: Any = config
    *parents, last = key.split(".")
    for part in parents:
        node = None if node is None else node.get(part)
    return node is not None and OmegaConf.is_interpolation(node, last)


def _check_flat(key: str, found: object) -> None:
    """Refuse a list or a mapping inside a list, which OmegaConf accepts as an element."""
    if isinstance(found, ListConfig) and any(isinstance(item, Container) for item in found):
        raise Refused(
            f"{key} holds more than plain values.",
            key=key,
            value=OmegaConf.to_container(found),
            rule="a list of values, with one pair of brackets",
            way_out=f"{key}=[VALUE,VALUE]",
        )


def raw_method(config: DictConfig) -> dict[str, Any]:
    """Return the method's node with its interpolations unresolved."""
    node = OmegaConf.to_container(config.method, resolve=False)
    return cast("dict[str, Any]", node)


def _list_keys(shape: type, prefix: str = "") -> set[str]:
    """Return the keys of a dataclass, nested ones too, that hold a list, a `text` or a `path`."""
    found = set()
    for name, hint in typing.get_type_hints(shape).items():
        for kind in (hint, *typing.get_args(hint)):
            if is_dataclass(kind) and isinstance(kind, type):
                found |= _list_keys(kind, f"{prefix}{name}.")
            elif typing.get_origin(kind) is list or (kind is Any and name in ("text", "path")):
                found.add(f"{prefix}{name}")
    return found


# The keys that hold a list, such as "teacher.models".
LISTS = frozenset(_list_keys(Config))
