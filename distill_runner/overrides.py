"""What was typed: read with Hydra's own parser, and refused where Hydra would stumble over it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NoReturn

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, Override
from hydra.errors import HydraException

from distill_runner.config import LISTS, config_path
from distill_runner.errors import Refused
from distill_runner.search import check_search

Key = tuple[str, ...]  # part by part

# Of Hydra's own settings: how a sweep is launched, and how much is said.
_HYDRAS = ("hydra/launcher", "hydra/sweeper", "hydra.launcher", "hydra.sweeper")
_SAMPLER = "hydra/sweeper/sampler"
_HYDRAS_ALONE = ("hydra.verbose", "hydra.searchpath")


def arguments(argv: Sequence[str]) -> tuple[list[str], bool]:
    """The overrides among the arguments, and whether they are to be swept.

    Raises:
        Refused: a flag that does not exist, or that cannot be used so.
    """
    parser = get_args_parser()

    def refuse(message: str) -> NoReturn:
        raise _bad_flag(message, " ".join(argv))

    parser.error = refuse
    found, unknown = parser.parse_known_args(list(argv))
    for word in unknown:
        name = word.lstrip("-")
        if word == name:
            raise _bad_flag(f"{word} stands apart from the other settings", word)
        following = [*argv[list(argv).index(word) + 1 :], "VALUE"][0]
        setting = name if "=" in name else f"{name}={following}"
        raise _bad_flag(f"there is no flag {word}", word, way_out=setting)
    if found.experimental_rerun is not None:
        raise _bad_flag("it would load a pickle", "--experimental-rerun")
    modes = [found.run, found.multirun, found.cfg is not None, found.info is not None]
    if sum(modes) + found.shell_completion > 1:
        raise _bad_flag("one of -m, --cfg, --info, --run at a time", " ".join(argv))
    if found.resolve and found.cfg is None and not found.help:
        raise _bad_flag("it goes with --cfg", "--resolve", way_out="--cfg job --resolve")
    return list(found.overrides), bool(found.multirun)


def _bad_flag(reason: str, given: str, way_out: str | None = None) -> Refused:
    return Refused(
        f"The command cannot be read: {reason}.",
        key="the command",
        value=given,
        rule="flags that `distill-run --help` names, then GROUP=OPTION and KEY=VALUE in one row",
        way_out=way_out,
    )


def check_overrides(overrides: Sequence[str], *, sweeping: bool = True) -> None:
    """Refuse what Hydra takes without a word or stumbles over.

    Raises:
        Refused: at the first of them.
    """
    for text in overrides:
        override = _parsed(text, following=overrides[overrides.index(text) + 1 :])
        _check_not_added(text)
        _check_hydras(override)
        if override.key_or_group in _groups():
            _check_option(override)
        if override.is_sweep_override() and not sweeping:
            raise _no_sweep(override)
        check_search(override, overrides, sweeping=sweeping)
        if override.value() == {}:
            raise Refused(
                f"{override.key_or_group} is not emptied so: a mapping is merged.",
                key=override.key_or_group,
                value={},
                rule="keys that are to be changed, each with its value",
            )


def check_typed_once(overrides: Sequence[str]) -> None:
    """Refuse a key that is typed with two values: one of them would be dropped.

    Raises:
        Refused: at the first one.
    """
    seen: dict[str, str] = {}
    for text in overrides:
        key, _, value = text.partition("=")
        if seen.setdefault(key, value) != value:
            raise Refused(
                f"{key} is typed twice.",
                key=key,
                value=f"{seen[key]}, then {value}",
                rule="each key once",
                way_out=f"{key}={value}, or a sweep over both: -m {key}={seen[key]},{value}",
            )


def typed_groups(overrides: Iterable[str]) -> list[str]:
    """The groups of which an option was typed, as `GROUP` or `GROUP@KEY`."""
    parsed = [_parsed(text) for text in overrides]
    return [one.get_key_element() for one in parsed if one.key_or_group in _groups()]


def groups_among(overrides: Iterable[str]) -> list[str]:
    """The overrides that choose an option, and where options are looked for."""
    return [
        text for text in overrides if _parsed(text).key_or_group in (*_groups(), "hydra.searchpath")
    ]


def typed_keys(overrides: Iterable[str]) -> list[Key]:
    """Every key that was typed, those of a typed mapping one by one."""
    found: list[Key] = []
    for text in overrides:
        override = _parsed(text)
        key = override.key_or_group
        if key not in _groups() and not key.startswith("hydra"):
            found += _leaves(tuple(key.split(".")), override.value())
    return found


def typed_values(overrides: Iterable[str]) -> dict[str, object]:
    """What one job's keys and groups were set to; lists and mappings as they were written."""
    found: dict[str, object] = {}
    for text in overrides:
        override = _parsed(text)
        value = override.value()
        plain = value is None or isinstance(value, bool | int | float | str)
        found[override.get_key_element()] = value if plain else override.get_value_string()
    return found


def swept_keys(overrides: Iterable[str]) -> frozenset[str]:
    """Keys and groups that have several values in a sweep."""
    parsed = [_parsed(text) for text in overrides]
    return frozenset(one.get_key_element() for one in parsed if one.is_sweep_override())


def shared_in_sweep(overrides: Iterable[str]) -> frozenset[str]:
    """Keys with one value in a sweep over more than seeds: not every job may read them."""
    parsed = [_parsed(text) for text in overrides]
    swept = {one.key_or_group for one in parsed if one.is_sweep_override()}
    if all(key.endswith("seed") for key in swept):
        return frozenset()
    return frozenset(one.key_or_group for one in parsed) - swept


def _leaves(path: Key, value: object) -> list[Key]:
    if not isinstance(value, Mapping):
        return [path]
    return [leaf for key, inner in value.items() for leaf in _leaves((*path, str(key)), inner)]


@cache
def _groups() -> frozenset[str]:
    names = {path.name for path in Path(config_path()).iterdir() if path.is_dir()}
    return frozenset(names - {"hydra"})


def _options(group: str) -> list[str]:
    return sorted(path.stem for path in Path(config_path(), group).glob("*.yaml"))


def _parsed(text: str, following: Sequence[str] = ()) -> Override:
    if text.startswith("="):
        raise Refused(
            f"{text!r} names no key.",
            key="the command",
            value=text,
            rule="GROUP=OPTION or KEY=VALUE",
        )
    try:
        return _read(text)
    except HydraException:
        raise _unreadable(text, following) from None


@cache
def _read(text: str) -> Override:
    return OverridesParser.create().parse_override(text)


def _unreadable(text: str, following: Sequence[str]) -> Refused:
    key, equals, value = text.partition("=")
    if not equals:
        options = [f"{group}={key}" for group in sorted(_groups()) if key in _options(group)]
        return Refused(
            f"{key!r} is no setting.",
            key="the command",
            value=key,
            rule="GROUP=OPTION or KEY=VALUE",
            way_out=", or ".join(options) or "distill-run --help",
        )
    if value.endswith(","):
        rest = "".join(word for word in following if "=" not in word)
        return Refused(
            f"The value of {key} ends in a comma.",
            key=key,
            value=value,
            rule="values of a sweep are separated by commas alone, without spaces",
            way_out=f"-m {key}={value}{rest}".rstrip(","),
        )
    return Refused(
        f"The value of {key} cannot be read.",
        key=key,
        value=value,
        rule="brackets in pairs; quotes around a text that holds brackets, quotes, = or a comma",
        way_out=_repaired(key, value),
    )


def _repaired(key: str, value: str) -> str:
    if value.startswith("[") and value.count("[") == value.count("]") + 1:
        return f"'{key}={value}]'"
    bare = re.sub(r"""["'\\]""", "", value)
    return f"""'{key}="{bare}"'"""


def _check_not_added(text: str) -> None:
    if text.startswith(("+", "~")):
        key, _, value = text.lstrip("+~").partition("=")
        raise Refused(
            "Keys can be changed, not added or removed.",
            key=text[: len(text) - len(text.lstrip("+~"))] + key,
            value=value,
            rule="KEY=VALUE for a key that the configuration has",
            way_out="distill-run --cfg job",
        )


def _check_hydras(override: Override) -> None:
    """Refuse Hydra's own settings, but those of a sweep's launcher."""
    key = override.key_or_group
    if key != "hydra" and not key.startswith(("hydra.", "hydra/")):
        return
    launching = key in (*_HYDRAS, _SAMPLER) or key.startswith(tuple(f"{n}." for n in _HYDRAS))
    value = str(override.value())
    if key in _HYDRAS_ALONE or (launching and "_target_" not in key + value):
        return
    raise Refused(
        f"{key} is distill-run's own to set.",
        key=key,
        value=override.value(),
        rule="of Hydra's settings: hydra/launcher and its keys but _target_, hydra/sweeper, "
        + ", ".join(_HYDRAS_ALONE),
        way_out="output_dir=FOLDER" if "dir" in key else None,
    )


def _check_option(override: Override) -> None:
    """Refuse what is no option's name."""
    group, value = override.key_or_group, override.value()
    chosen = value.list if isinstance(value, ChoiceSweep) else [value]
    if isinstance(value, Glob):
        return
    for option in chosen:
        if isinstance(option, str) and option:
            continue
        key = group if override.package is None else f"{group}@{override.package}"
        raise Refused(
            f"The group {key} needs an option."
            if not isinstance(option, list)
            else f"The group {key} takes one option.",
            key=key,
            value=option,
            rule="one of " + ", ".join(_options(group)),
            way_out=_one_option(group, option, override.package),
        )


def _one_option(group: str, given: object, package: str | None) -> str | None:
    if given is None and package:
        return f"{package}=null" if package == "pretrain.dataset" else "leave it out"
    if given is None and group == "experiment":
        return "leave it out"
    if not isinstance(given, list):
        return None
    names = [name for name in given if isinstance(name, str)]
    joined = "+".join(names)
    if group == "teacher":
        ready = [f"teacher={joined}"] if joined in _options(group) else []
        return ", or ".join([*ready, "teacher=bert 'teacher.models=[id-or-folder,…]'"])
    return f"-m {group}={','.join(names)}" if len(names) > 1 else None


def _no_sweep(override: Override) -> Refused:
    key, given = override.get_key_element(), override.get_value_string()
    several = re.sub(r",\s+", ",", given)
    takes_list = override.key_or_group in LISTS
    return Refused(
        f"Several values of {key} are a sweep.",
        key=key,
        value=given,
        rule="one value; several, separated by commas, with -m",
        way_out=f"'{key}=[{several}]'" if takes_list else f"the same with -m, and {key}={several}",
    )
