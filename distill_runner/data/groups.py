"""Rows that belong together, as the candidate answers of one question do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from distill_runner.data.readers.labelled_rows import Rows

if TYPE_CHECKING:
    from numpy.random import Generator


def without_groups(
    positions: list[int], groups: Sequence[str], held_out: Iterable[Rows]
) -> list[int]:
    """The positions whose group no held-out file has."""
    taken = {group for rows in held_out for group in rows.groups or ()}
    return [n for n in positions if groups[n] not in taken]


def whole_groups(
    pool: list[int], groups: Sequence[str], count: int, generator: Generator
) -> list[int]:
    """Whole groups in random order, as near to `count` rows as they come.

    Every group that still fits is taken; one more where that ends nearer to `count`, or
    where no group is so small. So a number of rows is hit where small groups are left to
    fill the gap, and missed by less than the smallest group left over where they are not.
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
