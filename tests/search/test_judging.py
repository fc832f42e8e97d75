"""Finalists are tested against the teachers by a margin, together, by plain arithmetic."""

from __future__ import annotations

import math

import datasets
import numpy as np
import pytest
from scipy.stats import t as student_t

from distill_runner.config.schema import Metric
from distill_runner.search.judging import JudgedRows, ask_for_transformer, choose, judge, p_no_worse
from distill_runner.search.points import Cost, Finalist, Point, Trained, Variant
from distill_runner.tasks.classification import Classification

ROWS = 400
TASK = Classification((Metric.accuracy,))


def answers(right: int) -> np.ndarray:
    """Logits of a model that is right on the first rows; the label is always 1."""
    logits = np.zeros((ROWS, 2))
    logits[:right, 1] = 1
    logits[right:, 0] = 1
    return logits


def rows_of(teachers: int) -> JudgedRows:
    names = datasets.ClassLabel(names=["no", "yes"])
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": names, "cluster": datasets.Value("int64")}
    )
    columns = {
        "text": [str(at) for at in range(ROWS)],
        "label": [1] * ROWS,
        "cluster": [*range(ROWS)],
    }
    table = datasets.Dataset.from_dict(columns, features=features)
    return JudgedRows(TASK, table, answers(teachers))


def finalist(layers: int, right: int, *, ms: float = 1.0) -> tuple[Trained, np.ndarray]:
    point = Point(Variant(layers, 64), "ONNX", Cost(ms, ms, 1_000_000))
    return Trained(point, right / ROWS, answers(right)), answers(right)


def judged(*finalists: tuple[Trained, np.ndarray], before: int = 0) -> list[Finalist]:
    return judge(finalists, rows_of(360), margin=5.0, tested_before=before)


def test_the_p_value_is_that_of_a_t_test_with_one_more_row_that_was_lost() -> None:
    ours, teachers = np.array([1.0] * 30 + [0.0] * 10), np.array([1.0] * 32 + [0.0] * 8)
    values = np.append(teachers - ours, 1.0) - 0.2
    error = values.std(ddof=1) / math.sqrt(41)
    expected = student_t.cdf(values.mean() / error, 40)
    assert p_no_worse(ours, teachers, 0.2) == pytest.approx(expected)


def test_a_student_like_its_teachers_is_no_worse_and_one_far_below_is() -> None:
    like, below = judged(finalist(1, 360), finalist(2, 330))
    assert like.is_no_worse
    assert like.lead == 0
    assert not below.is_no_worse
    assert below.lead == pytest.approx(-0.075)
    assert below.lead_interval.high < 0


def test_few_rows_prove_nothing_even_without_a_loss() -> None:
    alike = np.ones(20)
    assert p_no_worse(alike, alike, 0.01) > 0.05


def test_the_p_values_are_adjusted_for_the_number_of_finalists() -> None:
    (alone,) = judged(finalist(1, 358))
    first, second = judged(finalist(1, 358), finalist(2, 340))
    assert first.p_value == pytest.approx(2 * alone.p_value)
    assert second.p_value >= first.p_value


def test_what_was_tested_before_counts_as_well() -> None:
    (alone,), (later,) = judged(finalist(1, 358)), judged(finalist(1, 358), before=2)
    assert later.p_value == pytest.approx(3 * alone.p_value)


def test_the_cheapest_that_is_no_worse_is_chosen_before_a_better_one() -> None:
    tested = judged(finalist(0, 300, ms=0.1), finalist(1, 358, ms=1), finalist(6, 362, ms=6))
    fitting = [one.point for one in tested]
    assert choose(tested, fitting).point.variant.layers == 1
    assert choose(tested, fitting[2:]).point.variant.layers == 6


def test_without_any_the_best_on_validation_that_fits_is_chosen() -> None:
    tested = judged(finalist(0, 300, ms=0.1), finalist(1, 310, ms=1), finalist(6, 320, ms=6))
    fitting = [one.point for one in tested[:2]]
    chosen = choose(tested, fitting)
    assert not chosen.is_no_worse
    assert chosen.point.variant.layers == 1


def test_the_best_of_each_kind_answers_whether_a_transformer_is_needed() -> None:
    tested = judged(finalist(0, 300), finalist(1, 310), finalist(6, 350))
    found = ask_for_transformer(tested, rows_of(360), margin=5)
    assert found is not None
    assert found.transformer.point.variant.layers == 6
    assert found.lead == pytest.approx(50 / ROWS)
    assert 0 < found.interval.low < found.lead < found.interval.high
    assert not found.is_small


def test_one_kind_alone_leaves_that_question_open() -> None:
    assert ask_for_transformer(judged(finalist(1, 310)), rows_of(360), margin=5) is None


def test_equal_answers_show_a_small_lead_on_many_rows_only() -> None:
    tested = judged(finalist(0, 300), finalist(1, 300))
    small = [ask_for_transformer(tested, rows_of(360), margin=points) for points in (5, 0.1)]
    assert [one.is_small for one in small if one] == [True, False]
