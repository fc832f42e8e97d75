"""Finds a valid command by replacing wrong words until nothing is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from distill_runner.command_line.flags import arguments
from distill_runner.command_line.hydra_errors import explain, explain_null_parent
from distill_runner.command_line.overrides import check_overrides, check_typed_once, groups_among
from distill_runner.config.compose import config_path, to_dataclasses
from distill_runner.errors import Mend, Refused, combine_refusals, typeable
from distill_runner.planning.setting_checks import check_settings

_NOTHING = object()
_MOST_WORDS = 40  # the most words corrected in one command


def with_way_out(refused: Refused, words: Sequence[str]) -> Refused:
    """Add a correction of every wrong word to the refusal, after trying it out.

    Args:
        words: the words of the command.
    """
    if refused.parts:
        return combine_refusals([with_way_out(part, words) for part in refused.parts])
    if refused.mend is None:
        named = any(word.startswith(f"{refused.key}=") for word in words)
        instead = _default(refused.key, words) or ("distill-run --cfg job" if named else None)
        return refused.with_way_out(refused.way_out or instead)
    mended, rights = list(words), set[str]()
    fault: Refused | None = refused
    for _ in range(_MOST_WORDS):
        if fault is None or fault.mend is None:
            break
        after = _replaced(mended, fault.mend)
        if after is None:
            break
        # A replacement may itself have been replaced.
        rights = (rights - set(fault.mend.wrong)) | set(fault.mend.right)
        mended = after
        fault = fault_of(mended)
    if fault is not None and _is_about(fault, rights):
        default = _default(refused.key, words) or _default(fault.key, mended)
        # A default of null does not help someone who wants to set a value.
        none = default is None or "=null, " in default
        return refused.with_way_out("distill-run --cfg job" if none else default)
    shown = [word for word in mended if word in rights]
    return refused.with_way_out(typeable(shown) if shown else "leave it out")


def _replaced(words: Sequence[str], mend: Mend) -> list[str] | None:
    """Replace the wrong words; None if they do not occur.

    -m is moved to the front, where Hydra's parser expects it.
    """
    size = len(mend.wrong)
    for at in range(len(words) - size + 1):
        if tuple(words[at : at + size]) == mend.wrong:
            after = [*words[:at], *mend.right, *words[at + size :]]
            plain = [word for word in after if word != "-m"]
            return (["-m"] if len(plain) < len(after) else []) + list(dict.fromkeys(plain))
    return None


def _is_about(fault: Refused, rights: set[str]) -> bool:
    keys = {word.partition("=")[0] for word in rights}
    return fault.key in keys or fault.key in {key.partition(".")[0] for key in keys}


def fault_of(words: Sequence[str]) -> Refused | None:
    """Return why a command is refused before its data and models are read; None if it is not."""
    overrides: list[str] = []
    try:
        overrides, sweeping = arguments(words)
        check_overrides(overrides, sweeping=sweeping)
        check_typed_once(overrides)
        check_settings(to_dataclasses(_composed(overrides)))
    except Refused as refused:
        return refused
    except (HydraException, OmegaConfBaseException) as error:
        return explain(error, overrides)
    except AssertionError as error:
        return explain_null_parent(error, overrides)
    return None


def _composed(overrides: Sequence[str]) -> DictConfig:
    """Compose the configuration; for a sweep, that of the first job."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(config_path(), version_base="1.3"):
        # The default name of the folder needs values that only a run has.
        words = ["output_dir=unused", *map(_first, overrides)]
        config: DictConfig = compose("config", overrides=words)
        return config


def _first(text: str) -> str:
    parsed = OverridesParser.create().parse_override(text)
    if not parsed.is_sweep_override():
        return text
    try:
        value = next(iter(parsed.sweep_string_iterator()))
    except (StopIteration, HydraException):
        return text
    return f"{parsed.get_key_element()}={value}"


def _default(key: str | None, words: Sequence[str]) -> str | None:
    """Return the default of a key that was given an invalid value, as a suggestion."""
    typed_settings = [word for word in words if "=" in word and not word.startswith("-")]
    if (
        key is None
        or key.startswith(("hydra", "output_dir"))
        or not any(word.partition("=")[0] == key for word in typed_settings)
    ):
        return None
    try:
        others = [word for word in typed_settings if word.partition("=")[0] != key]
        check_overrides(others)
        config = _composed(groups_among(others))
        value = OmegaConf.select(config, key, default=_NOTHING)
    except (Refused, HydraException, OmegaConfBaseException, AssertionError):
        return None
    written = None if value is _NOTHING else _written(value)
    return None if written is None else f"{typeable([f'{key}={written}'])}, the default"


def _written(value: Any) -> str | None:
    """Format a value as it is typed; None if it does not fit on a line."""
    if OmegaConf.is_config(value):
        value = OmegaConf.to_container(value)
    if isinstance(value, dict) or (isinstance(value, str) and not value):
        return None
    if isinstance(value, list):
        items = [_written(item) for item in value]
        return None if None in items else f"[{','.join(map(str, items))}]"
    name = getattr(value, "name", value)
    return name if isinstance(name, str) else json.dumps(name)
