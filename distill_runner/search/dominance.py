"""Decides which students stay in a search, and which points make the frontier; plain arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from distill_runner.config.schema import Budget
from distill_runner.search.points import Cost, Point, Trained, Variant

FACTOR = 3  # steps of a round, against the one before
_FEWEST_STEPS = 10  # a round of fewer says nothing
# Two times are taken for the same up to this factor: a clock's 95th percentile is noisy.
_ALIKE = 1.1

IsBetter = Callable[[Variant, Variant], bool]


def rungs_of(steps: int, rungs: int) -> list[int | None]:
    """Return the steps of each round; None is the full training, the last one.

    Args:
        steps: of the full training.
        rungs: how many rounds are wanted; those of very few steps are left out.
    """
    earlier = [steps // FACTOR**at for at in range(rungs - 1, 0, -1)]
    return [*(each for each in earlier if each >= _FEWEST_STEPS), None]


def dominated(
    variants: Sequence[Variant], costs: Mapping[Variant, Sequence[Cost]], is_better: IsBetter
) -> dict[Variant, Variant]:
    """Return the students that a cheaper or equally cheap one of their kind surpasses.

    Static students are compared only with each other, and so are the others: the two kinds learn
    at different speeds, so that few steps say nothing about which is better in the end. Each kind
    keeps at least one student, since the best of a kind is surpassed by none.

    Args:
        variants: still in the search.
        costs: of every form of each.
        is_better: whether the first has a better score than the second by more than noise.

    Returns:
        the dominating student by the dominated one.
    """
    found: dict[Variant, Variant] = {}
    for one in variants:
        for other in variants:
            same_kind = one.is_static == other.is_static and one != other
            if same_kind and _is_as_cheap(costs[other], costs[one]) and is_better(other, one):
                found.setdefault(one, other)
    return found


def _is_as_cheap(ours: Iterable[Cost], theirs: Iterable[Cost]) -> bool:
    """Return whether for each of their forms there is one of ours as fast and as small."""
    mine = list(ours)
    return all(
        any(one.p95 <= _ALIKE * each.p95 and one.size <= each.size for one in mine)
        for each in theirs
    )


def frontier_of(trained: Sequence[Trained]) -> list[Trained]:
    """Return the points that no other beats, from the fastest: the frontier.

    A point is off the frontier if another is as fast, as small and as good; times that differ by
    less than a tenth are alike. Of equal points the first stays.
    """
    kept = [
        one
        for at, one in enumerate(trained)
        if not any(_beats(other, one, first=at2 < at) for at2, other in enumerate(trained))
    ]
    return sorted(kept, key=lambda one: one.point.cost.p95)


def _beats(ours: Trained, theirs: Trained, *, first: bool) -> bool:
    """Return whether one point makes another needless; between equals the `first` does."""
    mine, other = ours.point.cost, theirs.point.cost
    as_fast, faster = mine.p95 <= _ALIKE * other.p95, _ALIKE * mine.p95 < other.p95
    at_least = as_fast and mine.size <= other.size and ours.score >= theirs.score
    strictly = faster or mine.size < other.size or ours.score > theirs.score
    return ours is not theirs and at_least and (strictly or first)


def nearest(points: Iterable[Point], budget: Budget) -> Point:
    """Return the point that exceeds the budget least, by the factor of its tighter limit."""
    return min(points, key=lambda point: point.cost.excess(budget))


def cheapness(point: Point) -> float:
    """Return what points are ranked by: time times size, so that half of either counts alike."""
    return point.cost.p95 * point.cost.size
