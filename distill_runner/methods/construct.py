"""An algorithm from its YAML: one constructor call, with the arguments' types checked."""

from __future__ import annotations

import importlib
import typing
from collections.abc import Mapping
from dataclasses import fields
from inspect import isabstract
from typing import TYPE_CHECKING, Any

from distill_runner.errors import Refused

if TYPE_CHECKING:
    from distill_runner.methods.base import Algorithm


def make_algorithm(node: Mapping[str, Any], *, stage: str = "finetune") -> Algorithm:
    """The algorithm that `_target_` names, with its arguments' types checked.

    Raises:
        Refused: no such class, no such argument, or a value of the wrong type.
    """
    from distill_runner.methods.base import Algorithm

    at = f"method.stages.{stage}.algorithm"
    target = node.get("_target_") if isinstance(node, Mapping) else None
    try:
        module, _, name = str(target or "").rpartition(".")
        cls = getattr(importlib.import_module(module), name)
    except (AttributeError, ValueError, ImportError) as error:
        raise Refused(
            "There is no such algorithm.",
            key=f"{at}._target_",
            value=target,
            rule=f"the full name of a class ({str(error).splitlines()[0]})",
        ) from None
    if not (isinstance(cls, type) and issubclass(cls, Algorithm)) or isabstract(cls):
        raise Refused(
            "That class is no algorithm.",
            key=f"{at}._target_",
            value=target,
            rule="a whole subclass of distill_runner.methods.base.Algorithm",
        )
    cls.check_id(key=f"{at}._target_")
    arguments = {str(k): v for k, v in node.items() if k != "_target_"}
    hints = typing.get_type_hints(cls)
    known = [field.name for field in fields(cls)]
    for name, value in arguments.items():
        if name not in known:
            raise Refused(
                f"{cls.__name__} has no such argument.",
                key=f"{at}.{name}",
                value=value,
                rule="one of " + ", ".join(known),
            )
        arguments[name] = _typed(value, hints[name], f"method.{name}")
    return cls(**arguments)


def _typed(value: Any, hint: Any, key: str) -> Any:
    """`value` as `hint` wants it: bool, int, float, str, a list of them, or None if optional."""
    options = typing.get_args(hint) if typing.get_origin(hint) is not list else ()
    if type(None) in options:
        if value is None:
            return None
        hint = next(option for option in options if option is not type(None))
    if typing.get_origin(hint) is list:
        (inner,) = typing.get_args(hint)
        if isinstance(value, list):
            return [_typed(item, inner, key) for item in value]
    elif hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    elif isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    kind = getattr(hint, "__name__", str(hint))
    raise Refused(f"{key} has the wrong type.", key=key, value=value, rule=f"a {kind}")
