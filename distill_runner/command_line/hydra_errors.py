"""Turns errors of Hydra and OmegaConf into refusals with key, value, rule and way out."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    InterpolationResolutionError,
    OmegaConfBaseException,
)

from distill_runner.command_line.help import group_names
from distill_runner.command_line.key_types import near_value, type_rule
from distill_runner.command_line.suggestions import (
    NOT_SET,
    as_option,
    closest,
    fold_name,
    settings_for,
    shape_value,
)
from distill_runner.errors import Mend, Refused

# Appended to a group's options: how to use other data or another model.
_OWN = {
    "dataset": "; for other data: dataset=files",
    "student": "; for any other model: student.model=HUB-ID-OR-FOLDER",
}

# Hydra's plugins that can launch or search a sweep once they are installed.
_PLUGINS = {
    "launcher": ("joblib", "submitit_local", "submitit_slurm", "ray", "rq"),
    "sweeper": ("optuna", "ax", "nevergrad"),
}
_PARTS_OF_METHODS = ("hydra", "stages")


def explain(error: HydraException | OmegaConfBaseException, overrides: Sequence[str]) -> Refused:
    """Turn an error into a refusal.

    Args:
        error: as raised while a configuration was composed.
        overrides: as typed, to quote the value.
    """
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _no_option(error, overrides)
    cause = _innermost(error)
    key = str(getattr(cause, "full_key", None) or "") or None
    if isinstance(cause, ConfigKeyError | ConfigAttributeError) and key is not None:
        return _no_key(cause, key, overrides)
    lines = [line for line in str(cause).splitlines() if not line.startswith("    ")]
    looked_up = key is None and any("${" in override for override in overrides)
    if isinstance(cause, InterpolationResolutionError) or looked_up:
        return _no_interpolation(cause, key, overrides)
    if key is None:
        return Refused(
            "The configuration cannot be composed.",
            key="the command",
            value=" ".join(overrides),
            rule=(lines or [type(cause).__name__])[0],
            way_out="distill-run --help",
        )
    return _no_value(key, overrides, (lines or ["see its type"])[0])


def _no_value(key: str, overrides: Sequence[str], why: str) -> Refused:
    """Return the refusal of a value of the wrong type."""
    below = next((text for text in overrides if text.startswith(f"{key}.")), None)
    if below is not None:
        return Refused(
            f"{key} is a single value and has no keys.",
            key=below.partition("=")[0],
            value=below.partition("=")[2],
            rule=f"{key}=VALUE",
            mend=Mend((below,), (f"{key}={below.partition('=')[2]}",)),
        )
    key = key.partition("[")[0]
    value = _value_of(key, overrides)
    typed = f"{key}={value}"
    if "is not a ListConfig" in why:
        return Refused(
            f"{key} is a list.",
            key=key,
            value=value,
            rule="a list, in brackets",
            mend=Mend((typed,), (f"{key}={shape_value(key, value or 'VALUE')}",)),
        )
    rule, near = type_rule(key), near_value(key, value or "")
    mend = Mend((typed,), (f"{key}={near}",)) if near is not None else None
    if rule is not None and rule.startswith("keys: "):
        first = "test" if key.endswith("split") else rule.split(" ")[1].rstrip(",")
        below = (
            f"{key.rpartition('.')[2]}@{key}" if key.startswith("pretrain.") else f"{key}.{first}"
        )
        return Refused(
            f"{key} is a section of keys, not a value.",
            key=key,
            value=value,
            rule=rule,
            mend=Mend((typed,), (f"{below}={value}",)),
        )
    return Refused(
        f"{key} has an invalid value.", key=key, value=value, rule=rule or why, mend=mend
    )


def explain_null_parent(error: AssertionError, overrides: Sequence[str]) -> Refused:
    """Turn OmegaConf's assertion about a key whose parent is null into a refusal.

    Raises:
        AssertionError: the error has another cause.
    """
    for override in overrides:
        key, _, value = override.partition("=")
        group, _, name = key.removeprefix("pretrain.").partition(".")
        if key.startswith("pretrain.") and name:
            return Refused(
                f"{key} belongs to pretrain.{group}, which is null.",
                key=key,
                value=value,
                rule=f"choose an option for pretrain.{group} first",
                way_out=f"{group}@pretrain.{group}=OPTION {override}",
            )
        parent = key.rpartition(".")[0]
        if key.startswith("published."):
            return Refused(
                f"{key} belongs to {parent}, which is null.",
                key=key,
                value=value,
                rule="only experiments set published results",
                mend=Mend((override,), ()),
            )
        if (type_rule(parent) or "keys: ").partition(" ")[0] != "keys:":
            return _no_value(parent, [override], "")
    raise error


def _no_option(error: MissingConfigException, overrides: Sequence[str]) -> Refused:
    missing = str(error.missing_cfg_file)
    group, _, option = missing.rpartition("/")
    for override in overrides:
        # An option may be a path, and a group may be placed under another key, as in
        # dataset@pretrain.dataset=OPTION.
        key, _, value = override.partition("=")
        if f"{key.partition('@')[0]}/{value}" == missing:
            group, option = key, value
    options = [str(name) for name in error.options or () if not str(name).startswith("_")]
    if not options or group not in group_names():
        return _no_option_elsewhere(group, option, options)
    meant = as_option(group, option)
    named = any(setting.startswith(("dataset=files", "student.model")) for setting in meant)
    return Refused(
        f"{group} takes an option, not a path." if "/" in option else "There is no such option.",
        key=group,
        value=option,
        rule="one of " + ", ".join(options) + _OWN.get(group, "") * named,
        way_out=None if meant else "distill-run --help",
        mend=_replace_missing_option(group, option, meant, overrides),
    )


def _replace_missing_option(
    group: str, option: str, meant: Sequence[str], overrides: Sequence[str]
) -> Mend | None:
    """Replace the option by the one that was meant, even inside the list of a sweep."""
    if not meant:
        return None
    typed = _value_of(group, overrides) or option
    names = typed.split(",")
    other = meant[0].partition("=")[2]
    if len(names) == 1:
        return Mend((f"{group}={option}",), tuple(meant))
    if len(meant) > 1 or meant[0].partition("=")[0] != group or option not in names:
        return None
    right = ",".join(other if name == option else name for name in names)
    return Mend((f"{group}={typed}",), (f"{group}={right}",))


def _no_option_elsewhere(group: str, option: str, options: Sequence[str]) -> Refused:
    """Return the refusal of an option of one of Hydra's groups, or of a group under another key."""
    near, kind = closest(option, options), group.rpartition("/")[2]
    plugin = f"pip install hydra-{option.partition('_')[0]}-{kind}" if kind in _PLUGINS else None
    return Refused(
        "There is no such option.",
        key=group or "the configuration",
        value=option,
        rule="one of " + ", ".join(options) if options else "an option of a group",
        way_out=plugin if option in _PLUGINS.get(kind, ()) else None,
        mend=Mend((f"{group}={option}",), (f"{group}={near}",)) if near else None,
    )


def _no_interpolation(error: BaseException, key: str | None, overrides: Sequence[str]) -> Refused:
    """Return the refusal of the first override whose interpolation fails."""
    asked = [override.partition("=") for override in overrides if "${" in override]
    name, _, value = asked[0] if asked else (key, "", None)
    missing = re.search(r"'([^']+)' not found", str(error))
    found = f"there is no key {missing[1]}" if missing else "it cannot be resolved"
    if missing and missing[1].startswith("teacher.models"):
        # A teacher that is a file has no model whose name another setting could take.
        return Refused(
            f"{name} is the first teacher's model, and no teacher is a model.",
            key=name,
            rule="a hub id or folder, under a teacher that is a file",
            way_out=f"{name}=bert-base-uncased",
        )
    return Refused(
        f"{name} refers to a value that does not exist: {found}.",
        key=name,
        value=value,
        rule="${KEY} stands for the value of another key of the configuration",
        way_out="distill-run --cfg job",
    )


def _no_key(
    error: ConfigKeyError | ConfigAttributeError, key: str, overrides: Sequence[str]
) -> Refused:
    node = getattr(error, "parent_node", None)
    known = [str(item) for item in node if item != "hydra"] if node is not None else []
    rule = "a full key, such as training.epochs; `distill-run --cfg job` prints all keys"
    if "." in key and known:
        rule = "one of " + ", ".join(known)
    below = next((text for text in overrides if text.startswith(f"{key}.")), None)
    typed = below or f"{key}={_value_of(key, overrides)}"
    name, _, value = typed.partition("=")
    mend = None
    why = NOT_SET.get(fold_name(name.rpartition(".")[2]))
    if why is not None:
        rule, mend = why, Mend((typed,), ())
    elif node is not None:
        meant = settings_for(name, value, _keys_of(node._get_root()))
        mend = Mend((typed,), tuple(meant)) if meant else None
    return Refused("There is no such key.", key=name, value=value, rule=rule, mend=mend)


def _keys_of(node: object, prefix: str = "") -> list[str]:
    """Return the full keys of all values of a configuration."""
    if not isinstance(node, DictConfig) or node._is_none() or node._is_missing():
        return [prefix.rstrip(".")]
    found = []
    for name in node:
        if name not in _PARTS_OF_METHODS:
            found += _keys_of(node._get_node(name), f"{prefix}{name!s}.")
    return found


def _innermost(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _value_of(key: str, overrides: Sequence[str]) -> str | None:
    for override in overrides:
        name, _, value = override.partition("=")
        if name == key:
            return value
    return None
