"""Describes the values that a key accepts, and guesses the value that was meant."""

from __future__ import annotations

import re
import typing
from enum import Enum
from typing import Any

from distill_runner.command_line.suggestions import VALUES, closest, fold_name
from distill_runner.config.type_words import field_of, type_of_field, words_of_field

_YES, _NO = ("ja", "yes", "1", "enable", "enabled", "t"), ("nein", "no", "0", "disabled", "f")


def type_rule(key: str) -> str | None:
    """Return the type of a key in words; None if the schema does not define it."""
    found = field_of(key)
    if found is None:
        return None
    shape, field = found
    kind, _ = type_of_field(shape, field.name)
    return None if kind is Any else words_of_field(shape, field.name)


def near_value(key: str, value: str) -> str | None:
    """Return a valid value close to the one that was typed; None if there is none."""
    found = field_of(key)
    kind = type_of_field(found[0], found[1].name)[0] if found else None
    if typing.get_origin(kind) is list:
        return _near_list(kind, key, value)
    return _near(kind, key, value)


def _near(kind: Any, key: str, value: str) -> str | None:
    if isinstance(kind, type) and issubclass(kind, Enum):
        meant = VALUES.get(key.rpartition(".")[2], {}).get(fold_name(value))
        return meant or closest(value, [item.name for item in kind])
    if kind is bool and fold_name(value) in _YES + _NO:
        return "true" if fold_name(value) in _YES else "false"
    if kind in (int, float):
        return _near_number(kind, value)
    return None


def _near_list(kind: Any, key: str, value: str) -> str | None:
    inner = typing.get_args(kind)[0]
    items = [item.strip() for item in value.strip("[]").split(",") if item.strip()]
    near = [_near(inner, key, item) or item for item in items]
    return f"[{','.join(near)}]" if near != items else None


def _near_number(kind: type, value: str) -> str | None:
    share = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", value)
    number = _number(share[1]) if share else _number(re.sub(r"[\s_']", "", value))
    if number is None:
        return None
    number = number / 100 if share else number
    if kind is int:
        return str(int(number)) if number == int(number) else None
    return f"{number:g}"


def _number(text: str) -> float | None:
    try:
        number = float(re.sub(r"(?i)(?<=\d)k$", "e3", text))
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None
