"""Hydra's and OmegaConf's errors as refusals: the key, the value, the rule, the way out."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

from hydra.errors import HydraException, MissingConfigException
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    InterpolationResolutionError,
    OmegaConfBaseException,
)

from distill_runner.errors import Refused

# Groups in which people name what they have: how that is typed.
_FOR_A_PATH = {
    "dataset": "dataset=files dataset.path={}",
    "teacher": "teacher=bert 'teacher.models=[{}]'",
    "student": "student.model={}",
}


def explain(error: HydraException | OmegaConfBaseException, overrides: Sequence[str]) -> Refused:
    """The refusal that a person can act on.

    Args:
        error: as raised while a configuration was composed.
        overrides: what was typed, to quote the value.
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
        return _no_interpolation(lines[0], key, overrides)
    if key is None:
        return Refused("\n".join(lines) or type(cause).__name__)
    value = _value_of(key, overrides)
    if lines and "is not a ListConfig" in lines[0]:
        return Refused(
            f"{key} is a list.",
            key=key,
            value=value,
            rule="a list, in brackets",
            way_out=f"'{key}=[{value or 'VALUE'}]'",
        )
    return Refused(
        f"{key} cannot be set so.",
        key=key,
        value=value,
        rule=(lines or ["see its type"])[0],
    )


def below_nothing(error: AssertionError, overrides: Sequence[str]) -> Refused:
    """OmegaConf's assertion where a key is typed below one that is null.

    Raises:
        AssertionError: it was about something else.
    """
    for override in overrides:
        key, _, value = override.partition("=")
        group, _, name = key.removeprefix("pretrain.").partition(".")
        if key.startswith("pretrain.") and name:
            return Refused(
                f"{key} belongs to pretrain.{group}, and that is null.",
                key=key,
                value=value,
                rule=f"an option for pretrain.{group} first",
                way_out=f"{group}@pretrain.{group}=OPTION {override}",
            )
    raise error


def _no_option(error: MissingConfigException, overrides: Sequence[str]) -> Refused:
    missing = str(error.missing_cfg_file)
    group, _, option = missing.rpartition("/")
    for override in overrides:
        # An option may be a path, and a group asked for under another key:
        # dataset@pretrain.dataset=OPTION.
        key, _, value = override.partition("=")
        if f"{key.partition('@')[0]}/{value}" == missing:
            group, option = key, value
    options = [str(name) for name in error.options or ()]
    if "/" in option and group in _FOR_A_PATH:
        return Refused(
            f"{group} takes an option, not a path.",
            key=group,
            value=option,
            rule="one of " + ", ".join(options),
            way_out=_FOR_A_PATH[group].format(option),
        )
    return Refused(
        "There is no such option.",
        key=group or "the configuration",
        value=option,
        rule="one of " + ", ".join(options) if options else "an option of a group",
        way_out=_closest(option, options, f"{group}="),
    )


def _no_interpolation(why: str, key: str | None, overrides: Sequence[str]) -> Refused:
    """What is looked up somewhere else is not there: the first override that looks up."""
    asked = [override.partition("=") for override in overrides if "${" in override]
    name, _, value = asked[0] if asked else (key, "", None)
    return Refused(
        f"{name} refers to a value that cannot be had: {why}.",
        key=name,
        value=value,
        rule="${KEY} stands for the value of another key that the configuration has",
        way_out="distill-run --cfg job",
    )


def _no_key(
    error: ConfigKeyError | ConfigAttributeError, key: str, overrides: Sequence[str]
) -> Refused:
    parent, _, name = key.rpartition(".")
    node = getattr(error, "parent_node", None)
    known = [str(item) for item in node] if node is not None else []
    return Refused(
        "There is no such key.",
        key=key,
        value=_value_of(key, overrides),
        rule="one of " + ", ".join(known) if known else "a key that `distill-run --cfg job` prints",
        way_out=_closest(name, known, f"{parent}." if parent else ""),
    )


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


def _closest(word: str, known: Iterable[str], prefix: str) -> str | None:
    found = difflib.get_close_matches(re.sub(r"\W", "", word), list(known), n=1)
    return f"{prefix}{found[0]}" if found else None
