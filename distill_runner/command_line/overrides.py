"""Parses overrides with Hydra's parser, and rejects those that Hydra would mishandle."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from hydra.core.override_parser.types import ChoiceSweep, Glob, Override

from distill_runner.command_line.help import group_names
from distill_runner.command_line.optuna_search import check_search
from distill_runner.command_line.parsing import check_not_added, parse_override
from distill_runner.command_line.suggestions import as_option, closest
from distill_runner.config.compose import LISTS, option_names
from distill_runner.errors import Mend, Refused

Key = tuple[str, ...]  # the parts between the dots

# The settings of Hydra that may be changed: how a sweep is launched, and verbosity.
_HYDRAS = ("hydra/launcher", "hydra/sweeper", "hydra.launcher", "hydra.sweeper")
_SAMPLER = "hydra/sweeper/sampler"
_HYDRAS_ALONE = ("hydra.verbose", "hydra.searchpath")
# Keys whose values are below 1, so that 0,5 must mean 0.5.
_SHARES = ("alpha", "learning_rate", "p", "weight_decay", "warmup_fraction", "quiz", "test")
# Groups placed under another key.
_ELSEWHERE = ("dataset@pretrain.dataset", "teacher@pretrain.teacher")


def check_overrides(overrides: Sequence[str], *, sweeping: bool = True) -> None:
    """Reject overrides that Hydra silently accepts or fails on.

    Raises:
        Refused: an override is invalid; raised for the first one.
    """
    for text in overrides:
        check_not_added(text)
        override = parse_override(text, following=overrides[overrides.index(text) + 1 :])
        _check_hydras(override)
        _check_package(override, text)
        if override.key_or_group in group_names():
            _check_option(override, text)
        if override.is_sweep_override() and not sweeping:
            raise _no_sweep(override, text)
        check_search(override, overrides, sweeping=sweeping)
        if override.value() == {}:
            raise Refused(
                f"{override.key_or_group}={{}} does not empty the mapping: mappings are merged.",
                key=override.key_or_group,
                value={},
                rule="the keys to change, each with its value",
            )


def check_typed_once(overrides: Sequence[str]) -> None:
    """Reject a key with two values, since one of them would be ignored.

    Raises:
        Refused: a key has two values; raised for the first one.
    """
    seen: dict[str, str] = {}
    for text in overrides:
        key, _, value = text.partition("=")
        if seen.setdefault(key, value) != value:
            raise Refused(
                f"{key} is given twice.",
                key=key,
                value=f"{seen[key]}, then {value}",
                rule="each key once",
                way_out=f"{key}={value}, or -m {key}={seen[key]},{value}",
            )


def typed_groups(overrides: Iterable[str]) -> list[str]:
    """Return the groups for which an option was typed, as `GROUP` or `GROUP@KEY`."""
    words = [parse_override(text) for text in overrides]
    return [one.get_key_element() for one in words if one.key_or_group in group_names()]


def groups_among(overrides: Iterable[str]) -> list[str]:
    """Return the overrides that choose options or set where options are searched."""
    return [
        text
        for text in overrides
        if parse_override(text).key_or_group in (*group_names(), "hydra.searchpath")
    ]


def typed_keys(overrides: Iterable[str]) -> list[Key]:
    """Return every key that was typed; a mapping is expanded into its keys."""
    found: list[Key] = []
    for text in overrides:
        override = parse_override(text)
        key = override.key_or_group
        if key not in group_names() and not key.startswith("hydra"):
            found += _leaves(tuple(key.split(".")), override.value())
    return found


def typed_values(overrides: Iterable[str]) -> dict[str, object]:
    """Return the values of one job's keys and groups; lists and mappings as typed."""
    found: dict[str, object] = {}
    for text in overrides:
        override = parse_override(text)
        value = override.value()
        plain = value is None or isinstance(value, bool | int | float | str)
        found[override.get_key_element()] = value if plain else override.get_value_string()
    return found


def swept_keys(overrides: Iterable[str]) -> frozenset[str]:
    """Return the keys and groups that a sweep varies."""
    words = [parse_override(text) for text in overrides]
    return frozenset(one.get_key_element() for one in words if one.is_sweep_override())


def shared_in_sweep(overrides: Iterable[str]) -> frozenset[str]:
    """Return the keys with a single value in a sweep, which not every job has to read.

    Empty if the sweep only varies seeds, since all its jobs then read the same keys.
    """
    words = [parse_override(text) for text in overrides]
    swept = {one.key_or_group for one in words if one.is_sweep_override()}
    if all(key.endswith("seed") for key in swept):
        return frozenset()
    return frozenset(one.key_or_group for one in words) - swept


def _leaves(path: Key, value: object) -> list[Key]:
    if not isinstance(value, Mapping):
        return [path]
    return [leaf for key, inner in value.items() for leaf in _leaves((*path, str(key)), inner)]


def _check_package(override: Override, text: str) -> None:
    """Reject a group that cannot be chosen, or one placed under an unknown key."""
    name, group = override.get_key_element(), override.key_or_group
    if group in group_names() and override.package is None:
        return
    if group == "stage":
        raise Refused(
            "The method defines the stages.",
            key=name,
            value=override.value(),
            rule="method=… chooses the stages",
            way_out="distill-run --help",
        )
    if override.package is not None and name not in _ELSEWHERE:
        near = closest(name, (*_ELSEWHERE, *group_names()))
        raise Refused(
            f"{name} is not a group.",
            key=name,
            value=override.get_value_string(),
            rule="one of " + ", ".join((*sorted(group_names()), *_ELSEWHERE)),
            mend=Mend((text,), (f"{near}={text.partition('=')[2]}",)) if near else None,
        )


def _check_hydras(override: Override) -> None:
    """Reject settings of Hydra, except those of its launchers and sweepers."""
    key = override.key_or_group
    if key != "hydra" and not key.startswith(("hydra.", "hydra/")):
        return
    launching = key in (*_HYDRAS, _SAMPLER) or key.startswith(tuple(f"{n}." for n in _HYDRAS))
    value = str(override.value())
    if key == "hydra.searchpath":
        _check_searchpath(override.value())
    if key in _HYDRAS_ALONE or (launching and "_target_" not in key + value):
        return
    raise Refused(
        f"{key} is set by distill-run itself.",
        key=key,
        value=override.value(),
        rule="Hydra's settings that can be changed: hydra/launcher and hydra/sweeper with their "
        "keys except _target_, " + ", ".join(_HYDRAS_ALONE),
        way_out="output_dir=FOLDER" if "dir" in key else None,
    )


def _check_searchpath(value: object) -> None:
    """Reject folders that do not exist, about which Hydra only warns."""
    folders = value if isinstance(value, list) else [None]
    for folder in folders:
        place = str(folder).removeprefix("file://")
        there = isinstance(folder, str) and (place.startswith("pkg://") or Path(place).is_dir())
        if not there:
            raise Refused(
                "A folder of the search path does not exist.",
                key="hydra.searchpath",
                value=value,
                rule="a list of folders that contain folders named like groups",
                way_out="'hydra.searchpath=[FOLDER]'",
            )


def _check_option(override: Override, text: str) -> None:
    """Reject values that are not the name of an option."""
    group, value = override.key_or_group, override.value()
    chosen = value.list if isinstance(value, ChoiceSweep) else [value]
    if isinstance(value, Glob):
        return
    for option in chosen:
        if isinstance(option, str) and option and not option.startswith("_"):
            continue
        raise Refused(
            f"The group {override.get_key_element()} needs an option."
            if not isinstance(option, list)
            else f"The group {override.get_key_element()} takes one option.",
            key=override.get_key_element(),
            value=option,
            rule="one of " + ", ".join(option_names(group)),
            way_out=_one_option(group, option, override.package),
            mend=_replace_invalid_option(group, option, override.package, text),
        )


def _replace_invalid_option(
    group: str, given: object, package: str | None, text: str
) -> Mend | None:
    if package is not None or isinstance(given, list):
        return None
    meant = as_option(group, text.partition("=")[2])
    return Mend((text,), tuple(meant)) if meant else None


def _one_option(group: str, given: object, package: str | None) -> str | None:
    if given is None and package:
        return f"{package}=null" if package == "pretrain.dataset" else "leave it out"
    if group == "experiment" and not isinstance(given, list):
        return "leave it out"
    if not isinstance(given, list):
        return None
    names = [name for name in given if isinstance(name, str)]
    joined = "+".join(names)
    if group == "teacher":
        ready = [f"teacher={joined}"] if joined in option_names(group) else []
        return ", or ".join([*ready, "teacher=bert 'teacher.models=[id-or-folder,…]'"])
    return f"-m {group}={','.join(names)}" if len(names) > 1 else None


def _no_sweep(override: Override, text: str) -> Refused:
    key, given = override.get_key_element(), override.get_value_string()
    several = re.sub(r",\s+", ",", given)
    if override.key_or_group in LISTS:
        right: tuple[str, ...] = (f"{key}=[{several}]",)
    elif key == "teacher" and several.replace(",", "+") in option_names("teacher"):
        right = (f"{key}={several.replace(',', '+')}",)
    elif key.rpartition(".")[2] in _SHARES and re.fullmatch(r"0,\d+", several):
        right = (f"{key}={several.replace(',', '.')}",)
    else:
        right = ("-m", f"{key}={several}")
    return Refused(
        f"{key} is given several values, which needs a sweep.",
        key=key,
        value=given,
        rule="one value; or, with -m, several separated by commas",
        mend=Mend((text,), right),
    )
