"""Converts frozen dataclasses to JSON and back; JSON that does not fit the classes is refused.

The entries of a mapping field marked `INLINE` are written next to the other fields of its class
instead of under its own name, so that a score reads `{"n": 400, "accuracy": 0.81}`.
"""

from __future__ import annotations

import json
import math
import types
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from distill_runner.errors import DistillError

T = TypeVar("T")

INLINE = object()  # marks a mapping whose entries are written next to its class's fields


class Malformed(DistillError):
    """JSON that does not fit the class.

    Args:
        path: the keys that lead to the value, such as `metrics.test.n`; empty: the whole.
        problem: what is wrong with it.
    """

    def __init__(self, path: str, problem: str) -> None:
        self.path = path
        self.problem = problem
        super().__init__(f"{path}: {problem}" if path else problem)


@cache
def type_hints(kind: type) -> Mapping[str, Any]:
    """Return the annotation of every field of a dataclass, with its description."""
    return get_type_hints(kind, include_extras=True)


def is_inline(hint: Any) -> bool:
    """Return whether a field's entries are written into the parent's object."""
    return get_origin(hint) is Annotated and INLINE in get_args(hint)


def to_json(value: Any) -> Any:
    """Convert a value for `json`: dataclasses and mappings to objects, tuples to arrays."""
    if is_dataclass(value) and not isinstance(value, type):
        return dict(_entries(value))
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    return value


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    kind: type = type(value)
    hints = type_hints(kind)
    for field in fields(value):
        found = to_json(getattr(value, field.name))
        if is_inline(hints[field.name]):
            yield from found.items()
        else:
            yield field.name, found


def parse(text: str | bytes) -> Any:
    """Parse a JSON text in UTF-8.

    Raises:
        Malformed: it is not JSON, or contains NaN or infinity.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Malformed("", f"not JSON ({error})") from None


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def from_json(kind: type[T], value: object, path: str = "") -> T:
    """Build a dataclass from what `to_json` wrote.

    Args:
        kind: the dataclass.
        value: the parsed JSON.
        path: the keys that lead to `value`, for the message.

    Raises:
        Malformed: a key is missing or unknown, or a value has another type.
    """
    read: T = _read(kind, value, path)
    return read


def _read(hint: Any, value: object, path: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _read(arguments[0], value, path)
    if hint is object:
        return value
    if origin in (Union, types.UnionType):
        (some,) = (one for one in arguments if one is not type(None))
        return None if value is None else _read(some, value, path)
    if origin is Literal:
        if value not in arguments:
            raise Malformed(path, f"expected {_listed(arguments)}, got {value!r}")
        return value
    if origin is tuple:
        items = _expect(list, "an array", value, path)
        return tuple(_read(arguments[0], item, f"{path}[{at}]") for at, item in enumerate(items))
    if origin is not None:  # Mapping[str, X]
        entries = _expect(dict, "an object", value, path)
        return {key: _read(arguments[1], item, _below(path, key)) for key, item in entries.items()}
    if is_dataclass(hint):
        return _read_fields(hint, _expect(dict, "an object", value, path), path)
    return _read_scalar(hint, value, path)


def _read_fields(kind: Any, entries: Mapping[str, object], path: str) -> Any:
    hints = type_hints(kind)
    names = [field.name for field in fields(kind)]
    inline = next((name for name in names if is_inline(hints[name])), None)
    own = [name for name in names if name != inline]
    if missing := [name for name in own if name not in entries]:
        raise Malformed(_below(path, missing[0]), "missing")
    others = {key: item for key, item in entries.items() if key not in own}
    if others and inline is None:
        raise Malformed(_below(path, next(iter(others))), "unknown key")
    found = {name: _read(hints[name], entries[name], _below(path, name)) for name in own}
    if inline is not None:
        found[inline] = _read(hints[inline], others, path)
    return kind(**found)


_NAMES = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


def _read_scalar(kind: Any, value: object, path: str) -> Any:
    if kind is float and type(value) is int:
        try:
            return float(value)  # JSON does not distinguish 1 from 1.0
        except OverflowError:
            raise Malformed(path, f"expected {_NAMES[kind]}, got one too large") from None
    found = _expect(kind, _NAMES[kind], value, path)
    if kind is float and not math.isfinite(found):
        raise Malformed(path, f"expected {_NAMES[kind]}, got {found}")
    return found


def _expect(kind: type[T], name: str, value: object, path: str) -> T:
    # The exact type, since in Python True is also an int.
    if type(value) is not kind:
        raise Malformed(path, f"expected {name}, got {_shortened(value)}")
    return value


def _below(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _listed(values: tuple[Any, ...]) -> str:
    return " or ".join(map(repr, values))


def _shortened(value: object) -> str:
    return "null" if value is None else repr(value)[:60]
