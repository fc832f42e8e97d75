"""Keeps groups of rows together, such as the candidate answers to one question."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from distill_runner.data.readers.labelled_rows import Rows

if TYPE_CHECKING:
    from numpy.random import Generator


def without_groups(
    positions: list[int], groups: Sequence[str], held_out: Iterable[Rows]
) -> list[int]:
    """Return the positions whose group does not occur in a held-out file."""
    taken = {group for rows in held_out for group in rows.groups or ()}
    return [n for n in positions if groups[n] not in taken]


def whole_groups(
    pool: list[int], groups: Sequence[str], count: int, generator: Generator
) -> list[int]:
    """Draw whole groups in random order until they have about `count` rows.

    Every group that still fits is taken, and then one more if that comes closer to `count` or
    if nothing fitted. The number of rows is exact if small groups are left to fill the gap,
    and otherwise off by less than the smallest remaining group.
    """
    if not count:
        return []
    members: dict[str, list[int]] = {}
    for n in pool:
        members.setdefault(groups[n], []).append(n)
    names = sorted(members)
    chosen: list[int] = []
    passed_over: list[list[int]] = []
    for n in generator.permutation(len(names)):
        group = members[names[n]]
        if len(chosen) + len(group) <= count:
            chosen += group
        else:
            passed_over.append(group)
    smallest = min(passed_over, key=len, default=[])
    if not chosen or len(chosen) + len(smallest) - count < count - len(chosen):
        chosen += smallest
    return chosen
