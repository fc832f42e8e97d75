"""Prints a Markdown reference of all keys and options: `python -m distill_runner.config.describe`.

A key's type and range come from the schema, its default from the composed configuration, and its
description from the comment on or above its line: in the schema, or in a method's YAML.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from distill_runner.config.compose import config_path, option_names, raw_method, register_schema
from distill_runner.config.construct import load_class
from distill_runner.config.schema import BuiltModel, Config, StageConfig
from distill_runner.config.type_words import type_of_field, words_of_field, words_of_type

_GROUPS = (
    "method",
    "teacher",
    "student",
    "dataset",
    "noise",
    "tracker",
    "runtime",
    "tune",
    "profile",
    "experiment",
)
_YAML_KEY = re.compile(r"([a-z_0-9]+):.*?(?:\s#\s(.*))?$")
_YAML_MORE = re.compile(r"\s{8,}#\s(.*)$")  # a trailing comment that continues


@dataclass(frozen=True)
class KeyDescription:
    """The reference's entry for one key."""

    key: str
    takes: str  # the type and the range in words
    default: str  # as typed on the command line; empty if there is none
    about: str


def schema_keys() -> list[KeyDescription]:
    """Return every key of the schema outside methods, in the schema's order."""
    return list(_described(Config, _composed(), ""))


def stage_keys() -> list[KeyDescription]:
    """Return the keys of a method's stage, below `method.stages.NAME`."""
    return list(_described(StageConfig, OmegaConf.structured(StageConfig), ""))


def method_keys(method: str) -> list[KeyDescription]:
    """Return the keys of a method."""
    yaml = raw_method(_composed(f"method={method}"))
    return [
        KeyDescription(f"method.{name}", _takes(name, yaml["stages"]), _written(yaml[name]), about)
        for name, about in _method_comments(method).items()
    ]


def _method_comments(name: str) -> dict[str, str]:
    """Return the comments of a method's keys, including those of the base file that it extends."""
    path = Path(config_path(), "method", f"{name}.yaml")
    yaml = OmegaConf.load(path)
    assert isinstance(yaml, DictConfig)
    comments: dict[str, str] = {}
    for base in yaml.get("defaults", ()):
        if isinstance(base, str) and base.startswith("_") and base != "_self_":
            comments |= _method_comments(base)
    own = yaml_comments(path)
    return comments | {key: own[key] for key in map(str, yaml) if key not in ("defaults", "stages")}


def source_comments(shape: type) -> dict[str, str]:
    """Return the comment on or above the line of each field of a dataclass."""
    comments: dict[str, str] = {}
    above: list[str] = []
    for line in inspect.getsource(shape).splitlines():
        text = line.strip()
        name = re.match(r"([A-Za-z_]\w*): ", text)
        if text.startswith("# "):
            above.append(text[2:])
            continue
        if name is not None:
            beside = text.partition("  # ")[2]
            comments[name[1]] = " ".join([*above, beside]).strip()
        above = []
    return comments


def yaml_comments(path: Path) -> dict[str, str]:
    """Return the trailing comment of each top-level key of a YAML file."""
    comments: dict[str, str] = {}
    name = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        key, more = _YAML_KEY.match(line), _YAML_MORE.match(line)
        if key is not None:
            name, comments[key[1]] = key[1], key[2] or ""
        elif more is not None and comments.get(name):
            comments[name] += f" {more[1]}"
        else:
            name = ""
    return comments


def header(path: Path) -> str:
    """Return the comment at the top of a YAML file, without the `@package` line."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# "))
    return "\n".join(line for line in lines if not line.startswith("@package"))


def reference() -> str:
    """Return the whole reference as Markdown."""
    parts = ["# Every key", "## Keys that every run has", _table(schema_keys())]
    parts += [
        "## Small models built on the spot: `models.ID`",
        _table(_described(BuiltModel, OmegaConf.structured(BuiltModel), "models.ID")),
    ]
    parts.append("## Keys of the methods")
    for method in option_names("method"):
        parts += [f"### method={method}", _table(method_keys(method))]
    parts += ["## Keys of a stage: `method.stages.NAME`", _table(stage_keys())]
    parts.append("## Options of the groups")
    for group in _GROUPS:
        rows = [
            f"| `{group}={name}` | {_cell(_first_line(group, name))} |"
            for name in option_names(group)
        ]
        parts += [f"### {group}", "\n".join(["| option | what it is |", "|---|---|", *rows])]
    return "\n\n".join(parts) + "\n"


def _composed(*overrides: str) -> DictConfig:
    GlobalHydra.instance().clear()
    register_schema()
    # The default folder's name needs values that only a run has.
    folder = "output_dir=outputs/runs/TIME_METHOD_DATA_STUDENT"
    with initialize_config_dir(config_path(), version_base="1.3"):
        config: DictConfig = compose("config", overrides=[folder, *overrides])
    return config


def _described(shape: type, node: DictConfig | None, at: str) -> Iterator[KeyDescription]:
    comments = source_comments(shape)
    for field in fields(shape):
        key = f"{at}.{field.name}" if at else field.name
        kind, _ = type_of_field(shape, field.name)
        if at == "pretrain":
            yield KeyDescription(key, f"keys as under {field.name}", "null", comments[field.name])
        elif is_dataclass(kind) and isinstance(kind, type):
            inner = None if node is None else node.get(field.name)
            yield from _described(kind, inner, key)
        elif key != "method":
            missing = node is None or OmegaConf.is_missing(node, field.name)
            default = "" if missing else _written(_plain(node, field.name))
            takes = words_of_field(shape, field.name)
            yield KeyDescription(key, takes, default, comments[field.name])


def _plain(node: DictConfig | None, name: str) -> object:
    value = None if node is None else node[name]
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value


def _takes(setting: str, stages: Mapping[str, Any]) -> str:
    """Return what a method's key takes: the type of the algorithm's or stage's field it fills."""
    wanted = f"${{method.{setting}}}"
    for stage in stages.values():
        algorithm = stage.get("algorithm", {})
        for name, value in algorithm.items():
            if value == wanted:
                target = algorithm["_target_"]
                cls = load_class(target, object, key="_target_", kind="a class")
                return words_of_field(cls, name)
        for name, value in stage.items():
            if value == wanted:
                return words_of_field(StageConfig, name)
    return words_of_type(None)


def _written(value: object) -> str:
    """Format a value as it is typed on a command line."""
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return f"[{','.join(map(_written, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{name}:{_written(one)}' for name, one in value.items())}}}"
    return str(value)


def _first_line(group: str, name: str) -> str:
    """Return the first sentence of an option's header, without the example command after it."""
    text = header(Path(config_path(), group, f"{name}.yaml")).partition("distill-run ")[0]
    return re.split(r"(?<!al\.)(?<=[.?])\s", " ".join(text.split()), maxsplit=1)[0]


def _table(keys: Any) -> str:
    rows = [
        f"| `{one.key}` | {_cell(one.takes)} | {f'`{_cell(one.default)}`' if one.default else ''} "
        f"| {_cell(one.about)} |"
        for one in keys
    ]
    return "\n".join(["| key | takes | default | what it does |", "|---|---|---|---|", *rows])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(reference(), end="")
