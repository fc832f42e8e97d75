"""Builds an object from its YAML: imports the class in `_target_`, and checks its settings."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import fields
from inspect import isabstract
from typing import Any, TypeVar, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException

from distill_runner.config.schema.rules import check_value, rule_of
from distill_runner.config.type_words import words_of_field
from distill_runner.errors import Refused

T = TypeVar("T")


def load_class(target: object, base: type[T], *, key: str, kind: str) -> type[T]:
    """Import a class by its full name.

    Args:
        target: such as "package.module.Class".
        base: what it must be a subclass of.
        key: the key that names it.
        kind: what such a class is called in a message, with its article: "an algorithm".

    Raises:
        Refused: there is no such class, or it is not a concrete subclass of `base`.
    """
    module, _, name = str(target or "").rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (AttributeError, ValueError, ImportError) as error:
        raise Refused(
            "There is no such class.",
            key=key,
            value=target,
            rule=f"the full name of a class ({str(error).splitlines()[0]})",
        ) from None
    if not (isinstance(found, type) and issubclass(found, base)) or isabstract(found):
        raise Refused(
            f"That class cannot be used as {kind}.",
            key=key,
            value=target,
            rule=f"a subclass of {base.__module__}.{base.__qualname__} with all of its methods",
        )
    return found


def construct(
    cls: type[T], settings: Mapping[str, Any], *, key_of: Callable[[str], str], name: str
) -> T:
    """Build an instance of a dataclass from YAML values.

    Args:
        cls: a dataclass.
        settings: plain values by field.
        key_of: the key to blame for a field's value.
        name: what is configured, as a message calls it.

    Raises:
        Refused: the class has no such field, a value has the wrong type or is out of range, or a
            field without a default has no value.
    """
    try:
        merged = cast(DictConfig, OmegaConf.merge(OmegaConf.structured(cls), dict(settings)))
    except OmegaConfBaseException as error:
        raise _refusal(cls, settings, error, key_of=key_of, name=name) from None
    for missing in sorted(OmegaConf.missing_keys(merged)):
        raise Refused(
            f"{name} needs {missing}.",
            key=key_of(missing),
            value=None,
            rule=words_of_field(cls, missing),
        )
    for field in fields(cls):  # type: ignore[arg-type]
        value, rule = merged[field.name], rule_of(field.metadata)
        if rule is not None and value is not None:
            check_value(value, rule, key_of(field.name))
    return cast(T, OmegaConf.to_object(merged))


def _refusal(
    cls: type,
    settings: Mapping[str, Any],
    error: OmegaConfBaseException,
    *,
    key_of: Callable[[str], str],
    name: str,
) -> Refused:
    """Explain why OmegaConf rejected a setting."""
    path = str(error.full_key or "").partition("[")[0]
    if isinstance(error, ConfigKeyError):
        return Refused(
            f"{name} has no such setting.",
            key=key_of(path),
            value=settings.get(path),
            rule="one of " + ", ".join(field.name for field in fields(cls)),
        )
    key = key_of(path)
    return Refused(
        f"{key} has the wrong type.",
        key=key,
        value=settings.get(path),
        rule=words_of_field(cls, path),
    )
