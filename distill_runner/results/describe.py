"""Writes a Markdown reference of result.json from the classes that it is parsed into."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from distill_runner.results.schema import SCHEMA_VERSION, RunResult
from distill_runner.results.typed_json import is_inline, type_hints

_NAMES = {int: "integer", float: "number", str: "text", bool: "true/false"}


def describe() -> str:
    """Return a section for each object of result.json, with its keys, types and meanings."""
    parts = [f"`schema_version` is {SCHEMA_VERSION}. Every key is always present."]
    for kind in _classes():
        rows = [_row(name, hint) for name, hint in _hints(kind)]
        heading = [f"## {kind.__name__}", "", kind.__doc__ or ""]
        table = ["", "| key | type | meaning |", "|---|---|---|", *rows]
        parts.append("\n".join([*heading, *table]))
    return "\n\n".join(parts) + "\n"


def _classes() -> list[type]:
    """Return `RunResult` and every class that it contains, in the order of occurrence."""
    found: dict[type, None] = {}

    def visit(kind: type) -> None:
        if kind not in found:
            found[kind] = None
            for _, hint in _hints(kind):
                for below in _dataclasses(hint):
                    visit(below)

    visit(RunResult)
    return list(found)


def _hints(kind: type) -> Iterator[tuple[str, Any]]:
    hints = type_hints(kind)
    for field in fields(kind):
        yield field.name, hints[field.name]


def _dataclasses(hint: Any) -> Iterator[type]:
    if is_dataclass(hint):
        yield hint  # type: ignore[misc]
    for argument in get_args(hint):
        yield from _dataclasses(argument)


def _row(name: str, hint: Any) -> str:
    kind, meaning, *_ = get_args(hint)
    key = "the name of a metric" if is_inline(hint) else f"`{name}`"
    shown = _type_name(get_args(kind)[1] if is_inline(hint) else kind)
    return f"| {key} | {shown} | {meaning} |"


def _type_name(kind: Any) -> str:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _type_name(arguments[0])
    if origin in (Union, types.UnionType):
        return " or ".join("null" if one is type(None) else _type_name(one) for one in arguments)
    if origin is Literal:
        return " or ".join(f"`{one}`" for one in arguments)
    if origin is tuple:
        return f"list of {_type_name(arguments[0])}"
    if origin is not None and issubclass(origin, Mapping):
        return f"object of {_type_name(arguments[1])}"
    return _NAMES.get(kind) or f"[{kind.__name__}](#{kind.__name__.lower()})"
