"""Rounds, domination and the frontier, by plain arithmetic on hand-made figures."""

from __future__ import annotations

import numpy as np

from distill_runner.config.schema import Budget
from distill_runner.search.dominance import (
    cheapness,
    dominated,
    frontier_of,
    nearest,
    rungs_of,
)
from distill_runner.search.points import Cost, Point, Trained, Variant

STATIC, ONE, TWO, SIX = (Variant(layers, 64) for layers in (0, 1, 2, 6))


def point(variant: Variant, ms: float, megabytes: float, form: str = "ONNX") -> Point:
    return Point(variant, form, Cost(p50=ms / 2, p95=ms, size=round(1e6 * megabytes)))


def trained(ms: float, megabytes: float, score: float, form: str = "ONNX") -> Trained:
    return Trained(point(ONE, ms, megabytes, form), score, np.zeros((0, 2)))


def test_each_round_has_three_times_the_steps_of_the_one_before() -> None:
    assert rungs_of(900, 3) == [100, 300, None]
    assert rungs_of(900, 1) == [None]


def test_a_round_of_very_few_steps_is_left_out() -> None:
    assert rungs_of(80, 3) == [26, None]
    assert rungs_of(8, 3) == [None]


def test_a_larger_student_goes_if_a_smaller_one_is_better() -> None:
    costs = {ONE: [Cost(1, 1, 10)], SIX: [Cost(6, 6, 20)]}
    assert dominated([ONE, SIX], costs, lambda one, _: one == ONE) == {SIX: ONE}


def test_a_smaller_student_stays_however_bad_it_is() -> None:
    costs = {ONE: [Cost(1, 1, 10)], SIX: [Cost(6, 6, 20)]}
    assert dominated([ONE, SIX], costs, lambda one, _: one == SIX) == {}


def test_students_that_differ_by_noise_all_stay() -> None:
    costs = {ONE: [Cost(1, 1, 10)], SIX: [Cost(6, 6, 20)]}
    assert dominated([ONE, SIX], costs, lambda *_: False) == {}


def test_a_static_student_drops_none_that_has_layers() -> None:
    costs = {STATIC: [Cost(0.1, 0.1, 5)], ONE: [Cost(1, 1, 10)], SIX: [Cost(6, 6, 20)]}
    rank = {STATIC: 3, ONE: 2, SIX: 1}
    found = dominated([STATIC, ONE, SIX], costs, lambda a, b: rank[a] > rank[b])
    assert found == {SIX: ONE}


def test_a_form_that_is_larger_keeps_its_student() -> None:
    costs = {ONE: [Cost(1, 1, 30)], SIX: [Cost(6, 6, 20)]}
    assert dominated([ONE, SIX], costs, lambda one, _: one == ONE) == {}


def test_the_frontier_has_no_point_that_another_makes_needless() -> None:
    fast, good, slow = trained(1, 5, 0.7), trained(4, 9, 0.8), trained(5, 9, 0.79)
    assert frontier_of([slow, good, fast]) == [fast, good]


def test_a_point_may_be_there_for_its_size_alone() -> None:
    fast, small = trained(1, 20, 0.7), trained(5, 5, 0.7, "cut")
    assert frontier_of([fast, small]) == [fast, small]


def test_of_points_whose_times_differ_by_less_than_a_tenth_the_smaller_stays() -> None:
    first, second = trained(1.0, 6, 0.7), trained(1.05, 5, 0.7, "cut ONNX")
    assert frontier_of([first, second]) == [second]
    alike = trained(1.05, 6, 0.7, "int8")
    assert frontier_of([first, alike]) == [first]


def test_a_budget_is_met_by_what_is_below_both_limits() -> None:
    budget = Budget(ms=5, mb=30)
    assert point(ONE, 5, 30).cost.fits(budget)
    assert not point(ONE, 5.1, 30).cost.fits(budget)
    assert not point(ONE, 5, 30.1).cost.fits(budget)
    assert point(ONE, 1e9, 1e9).cost.fits(Budget())


def test_the_nearest_point_exceeds_its_tighter_limit_least() -> None:
    twice_as_slow, thrice_as_large = point(TWO, 10, 3), point(SIX, 1, 90)
    budget = Budget(ms=5, mb=30)
    assert nearest([thrice_as_large, twice_as_slow], budget) == twice_as_slow
    assert twice_as_slow.cost.excess(budget) == 2


def test_half_the_time_counts_as_much_as_half_the_size() -> None:
    assert cheapness(point(ONE, 2, 10)) == cheapness(point(ONE, 4, 5))
