"""Describes the values that a key accepts, and guesses the value that was meant."""

from __future__ import annotations

import re
import types
import typing
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from distill_runner.command_line.aliases import VALUES, closest, folded
from distill_runner.config.schema import Config

_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
_YES, _NO = ("ja", "yes", "1", "enable", "enabled", "t"), ("nein", "no", "0", "disabled", "f")


def type_rule(key: str) -> str | None:
    """The type of a key in words; None if the schema does not define it."""
    kind, optional = _type_of(key)
    if kind is None:
        return None
    if is_dataclass(kind):
        return "keys: " + ", ".join(field.name for field in fields(kind))
    return _in_words(kind) + (", or null" if optional else "")


def near_value(key: str, value: str) -> str | None:
    """A valid value close to the one that was typed; None if there is none."""
    kind, _ = _type_of(key)
    if typing.get_origin(kind) is list:
        return _near_list(kind, key, value)
    return _near(kind, key, value)


def _near(kind: Any, key: str, value: str) -> str | None:
    if isinstance(kind, type) and issubclass(kind, Enum):
        meant = VALUES.get(key.rpartition(".")[2], {}).get(folded(value))
        return meant or closest(value, [item.name for item in kind])
    if kind is bool and folded(value) in _YES + _NO:
        return "true" if folded(value) in _YES else "false"
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


def _in_words(kind: Any) -> str:
    if typing.get_origin(kind) is list:
        inner = typing.get_args(kind)[0]
        one = _in_words(inner)
        return "a list, in brackets, of " + one.removeprefix("a ").replace("number", "numbers", 1)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "one of " + ", ".join(item.name for item in kind)
    return _WORDS.get(kind, "a value")


def _type_of(key: str) -> tuple[Any, bool]:
    """The type of a key in the schema, and whether it may be null."""
    kind: Any = Config
    optional = False
    for part in key.split("."):
        name = part.partition("[")[0]
        hints = typing.get_type_hints(kind) if is_dataclass(kind) else {}
        if name not in hints:
            return None, False
        kind = hints[name]
        optional = False
        if typing.get_origin(kind) in (typing.Union, types.UnionType):
            optional = type(None) in typing.get_args(kind)
            kind = next(one for one in typing.get_args(kind) if one is not type(None))
    return (None, False) if kind is Any else (kind, optional)
