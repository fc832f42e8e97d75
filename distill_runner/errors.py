"""The two kinds of error: work that failed, and requests that cannot be met.

    DistillError        the work failed            exit status 1
    └── Refused         the request cannot be met  exit status 2
        └── HubUnreachable

A `Refused` names the key, the value, the rule and the way out. It is raised as
early as possible, and is printed as one message without a traceback.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Mend:
    """Consecutive words of a command, and what to type in place of them."""

    wrong: tuple[str, ...]
    right: tuple[str, ...]


def typeable(words: Iterable[str]) -> str:
    """Quote the words for a shell."""
    return " ".join(shlex.quote(word) for word in words)


class DistillError(Exception):
    """The work failed for a reason that the message explains."""

    exit_status = 1


class Refused(DistillError):
    """Bad input: the request names something that cannot be done.

    Args:
        what: one sentence that says what is wrong.
        key: the configuration key to blame, such as `method.temperature`.
        value: what that key held.
        rule: what it must hold.
        way_out: what to type instead; by default, the right words of `mend`.
        mend: the correction in a form that can be applied to the command.
    """

    exit_status = 2
    parts: tuple[Refused, ...] = ()  # the single refusals, if it combines several

    def __init__(
        self,
        what: str,
        *,
        key: str | None = None,
        value: object = None,
        rule: str | None = None,
        way_out: str | None = None,
        mend: Mend | None = None,
    ) -> None:
        if mend is not None and way_out is None:
            way_out = typeable(mend.right) or "leave it out"
        self.what = what
        self.key = key
        self.way_out = way_out
        self.mend = mend
        self.value = value
        self.rule = rule
        lines = [what]
        if key is not None:
            lines.append(f"  {key} = {value!r}")
        if rule is not None:
            lines.append(f"  rule: {rule}")
        if way_out is not None:
            lines.append(f"  try:  {way_out}")
        super().__init__("\n".join(lines))

    def rename_key(self, old: str, new: str) -> Refused:
        """Return a copy with the prefix `old` of its key replaced by `new`."""
        if self.parts:
            return combine_refusals([part.rename_key(old, new) for part in self.parts])
        key = self.key
        if key is not None and key.startswith(old):
            key = new + key.removeprefix(old)
        rule, way_out = (
            text and re.sub(rf"(?<![\w.@]){old}\.", f"{new}.", text)
            for text in (self.rule, self.way_out)
        )
        return type(self)(self.what, key=key, value=self.value, rule=rule, way_out=way_out)

    def with_way_out(self, way_out: str | None) -> Refused:
        """Return a copy with another way out."""
        return type(self)(
            self.what,
            key=self.key,
            value=self.value,
            rule=self.rule,
            way_out=way_out,
            mend=self.mend,
        )


def combine_refusals(refusals: Sequence[Refused]) -> Refused:
    """Combine one or more refusals into one that lists them all; it has the first one's key."""
    parts = [part for refusal in refusals for part in refusal.parts or (refusal,)]
    if len(parts) == 1:
        return parts[0]
    numbered = [f"{number}. {part}" for number, part in enumerate(parts, start=1)]
    found = Refused("\n".join([f"{len(parts)} things are wrong.", *numbered]))
    found.key, found.parts = parts[0].key, tuple(parts)
    return found


class HubUnreachable(Refused):
    """Something must be fetched from the hub, and the hub does not respond."""
