"""Rules for values, declared on dataclass fields and checked by one walk over a configuration.

    epochs: int = field(default=15, metadata=AT_LEAST_1)

Each rule states its demand in words, for error messages and for the reference of all keys.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from types import MappingProxyType
from typing import Any, Protocol

from distill_runner.errors import Refused


class Rule(Protocol):
    """A condition on a value. Each element of a list is checked; null is always allowed."""

    @property
    def words(self) -> str:
        """The demand in words, such as "1 or more"."""

    def holds(self, value: Any) -> bool:
        """Return whether one value obeys the rule."""


@dataclass(frozen=True)
class Range:
    """Finite numbers between two bounds; each bound is included unless it is open."""

    words: str
    low: float = 0
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False

    def holds(self, value: Any) -> bool:
        """Return whether the value obeys the rule."""
        above = value > self.low if self.low_open else value >= self.low
        below = value < self.high if self.high_open else value <= self.high
        # NaN fails both comparisons; infinity is refused even without an upper bound.
        return bool(above and below and abs(value) < math.inf)


@dataclass(frozen=True)
class OneOf:
    """A closed set of names."""

    names: tuple[str, ...]

    @property
    def words(self) -> str:
        """The rule in words."""
        return "one of " + ", ".join(self.names)

    def holds(self, value: Any) -> bool:
        """Return whether the value obeys the rule."""
        return value in self.names


@dataclass(frozen=True)
class RowsOrShare:
    """A number of rows, or below 1 a share of all rows."""

    words: str = "a whole number of rows, or a share below 1"

    def holds(self, value: Any) -> bool:
        """Return whether the value obeys the rule."""
        whole = 1 <= value < math.inf and value == int(value)
        return bool(0 <= value < 1 or whole)


Metadata = Mapping[str, Rule]
_RULE = "rule"


def rule(rule: Rule) -> Metadata:
    """Return the field metadata that declares `rule`."""
    return MappingProxyType({_RULE: rule})


# A field added after keys were given out: while it has its default, keys leave it out.
LEFT_OUT_BY_DEFAULT = MappingProxyType({"left_out_of_keys_by_default": True})


def is_left_out(metadata: Mapping[str, Any]) -> bool:
    """Return whether keys leave a field out while it has its default."""
    return bool(metadata.get("left_out_of_keys_by_default"))


ABOVE_0 = rule(Range("above 0", low_open=True))
AT_LEAST_0 = rule(Range("0 or more"))
AT_LEAST_1 = rule(Range("1 or more", low=1))
SHARE = rule(Range("0..1", high=1))
SHARE_BELOW_1 = rule(Range("0 or more, below 1", high=1, high_open=True))
SHARE_INSIDE = rule(Range("above 0 and below 1", high=1, low_open=True, high_open=True))
LEARNING_RATE = rule(
    Range("above 0 and below 1, such as 2e-5", high=1, low_open=True, high_open=True)
)
ROWS_OR_SHARE = rule(RowsOrShare())


def one_of(names: Iterable[str]) -> Metadata:
    """Return the metadata of a field that takes one of these names."""
    return rule(OneOf(tuple(names)))


def rule_of(metadata: Mapping[str, Any]) -> Rule | None:
    """Return the rule in a field's metadata; None if it has none."""
    found: Rule | None = metadata.get(_RULE)
    return found


def check_values(node: object, key: str = "") -> None:
    """Check every value of a dataclass, and of those nested in it, against its rule.

    Args:
        node: an instance of a dataclass, or a mapping of names to instances.
        key: the key of `node` itself; empty at the root.

    Raises:
        Refused: a value breaks its field's rule; raised for the first one.
    """
    if isinstance(node, Mapping):
        for name, value in node.items():
            check_values(value, _joined(key, name))
    if not is_dataclass(node):
        return
    for field in fields(node):
        value, name = getattr(node, field.name), _joined(key, field.name)
        found = rule_of(field.metadata)
        if found is None:
            check_values(value, name)
        elif value is not None:
            check_value(value, found, name)


def check_value(value: Any, rule: Rule, key: str) -> None:
    """Check one value, or each of a list, against its rule.

    Raises:
        Refused: it breaks the rule.
    """
    several = isinstance(value, Sequence) and not isinstance(value, str)
    if all(rule.holds(one) for one in (value if several else [value])):
        return
    raise Refused(
        f"{key} is out of range.",
        key=key,
        value=value,
        rule=f"each {rule.words}" if several else rule.words,
    )


def _joined(key: str, name: object) -> str:
    return f"{key}.{name}" if key else str(name)
