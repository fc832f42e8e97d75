"""Describes in words the values that a key takes: "a whole number, 1 or more, or null"."""

from __future__ import annotations

import types
import typing
from dataclasses import Field, fields, is_dataclass
from enum import Enum
from typing import Any

from distill_runner.config.schema import Config
from distill_runner.config.schema.rules import rule_of

_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def field_of(key: str, shape: type = Config) -> tuple[type, Field[Any]] | None:
    """Find the dataclass and the field that a key such as "teacher.training.epochs" names.

    Returns None for a key inside a free mapping, and for a key that `shape` does not have.
    """
    first, _, rest = key.partition(".")
    name = first.partition("[")[0]
    found = next((field for field in fields(shape) if field.name == name), None)
    if found is None or not rest:
        return None if found is None else (shape, found)
    inner, _ = type_of_field(shape, name)
    return field_of(rest, inner) if is_dataclass(inner) and isinstance(inner, type) else None


def type_of_field(shape: type, name: str) -> tuple[Any, bool]:
    """Return the type of a field without null, and whether null is allowed."""
    kind = typing.get_type_hints(shape)[name]
    if typing.get_origin(kind) not in (typing.Union, types.UnionType):
        return kind, False
    options = typing.get_args(kind)
    inner = next(option for option in options if option is not type(None))
    return inner, type(None) in options


def words_of_field(shape: type, name: str) -> str:
    """Describe what a field takes: its type, its range, and whether null is allowed."""
    kind, optional = type_of_field(shape, name)
    field = next(field for field in fields(shape) if field.name == name)
    words, rule = words_of_type(kind), rule_of(field.metadata)
    if rule is not None:
        several = "each " if typing.get_origin(kind) is list else ""
        # Some rules name the type themselves.
        complete = rule.words.startswith(("a ", "one of "))
        words = rule.words if complete else f"{words}, {several}{rule.words}"
    return f"{words}, or null" if optional else words


def words_of_type(kind: Any) -> str:
    """Describe a type in words; a dataclass is described by its keys."""
    if is_dataclass(kind):
        return "keys: " + ", ".join(field.name for field in fields(kind))
    if typing.get_origin(kind) is list:
        one = words_of_type(typing.get_args(kind)[0])
        several = {"a number": "numbers", "a whole number": "whole numbers", "a text": "texts"}
        return "a list, in brackets, of " + several.get(one, one.removeprefix("one of "))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "one of " + ", ".join(item.name for item in kind)
    return _WORDS.get(kind, "a value")
