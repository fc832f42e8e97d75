"""Every metric against a slow version in plain arithmetic."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from itertools import permutations

import datasets
import numpy as np
import pytest
from scipy import stats

from distill_runner.config.schema import Metric
from distill_runner.evaluation.metrics.correlations import pearson, spearman
from distill_runner.evaluation.metrics.rankings import expected_at_random, rank
from distill_runner.tasks.classification import Classification
from distill_runner.tasks.regression import Regression

RANKINGS = (Metric.map, Metric.mrr)


def answers(classes: int, seed: int, rows: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and logits that are right about two times in three."""
    draw = random.Random(seed)
    labels = [draw.randrange(classes) for _ in range(rows)]
    told = [y if draw.random() < 0.66 else draw.randrange(classes) for y in labels]
    return np.array(labels), np.eye(classes, dtype=np.float32)[told]


def plain_f1(labels: list[int], told: list[int], positive: int) -> float:
    pairs = list(zip(labels, told, strict=True))
    hits = sum(y == t == positive for y, t in pairs)
    precision = hits / max(1, sum(t == positive for _, t in pairs))
    recall = hits / max(1, sum(y == positive for y, _ in pairs))
    return 0.0 if not hits else 2 * precision * recall / (precision + recall)


def plain_correlation(labels: list[int], told: list[int], classes: int) -> float:
    """The covariance of the two one-hot tables over the root of their variances' product."""

    def covariance(one: list[int], other: list[int]) -> float:
        n, total = len(one), 0.0
        for k in range(classes):
            first, second = sum(v == k for v in one) / n, sum(v == k for v in other) / n
            total += sum(
                ((a == k) - first) * ((b == k) - second) for a, b in zip(one, other, strict=True)
            )
        return total

    scale = math.sqrt(covariance(labels, labels) * covariance(told, told))
    return covariance(labels, told) / scale if scale else 0.0


@pytest.mark.parametrize("seed", range(5))
def test_f1_of_class_1_is_that_of_its_precision_and_recall(seed: int) -> None:
    labels, logits = answers(2, seed)
    found = Classification((Metric.f1,)).score_answers(logits, labels)
    told = logits.argmax(axis=-1).tolist()
    assert found["f1"] == pytest.approx(plain_f1(labels.tolist(), told, 1))


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_macro_f1_is_the_mean_over_the_classes(classes: int) -> None:
    labels, logits = answers(classes, 7)
    found = Classification((Metric.macro_f1,)).score_answers(logits, labels).metrics["macro_f1"]
    told = logits.argmax(axis=-1).tolist()
    each = [plain_f1(labels.tolist(), told, k) for k in range(classes)]
    assert found == pytest.approx(sum(each) / classes)


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_matthews_is_the_correlation_of_true_and_predicted_class(classes: int) -> None:
    labels, logits = answers(classes, 3)
    found = Classification((Metric.matthews,)).score_answers(logits, labels).metrics["matthews"]
    told = logits.argmax(axis=-1).tolist()
    assert found == pytest.approx(plain_correlation(labels.tolist(), told, classes))


def test_matthews_of_four_counts_is_the_printed_formula() -> None:
    tp, tn, fp, fn = 6, 3, 1, 2
    labels = np.array([1] * tp + [0] * tn + [0] * fp + [1] * fn)
    told = np.array([1] * tp + [0] * tn + [1] * fp + [0] * fn)
    found = (
        Classification((Metric.matthews,))
        .score_answers(np.eye(2)[told], labels)
        .metrics["matthews"]
    )
    bottom = math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    assert found == pytest.approx((tp * tn - fp * fn) / bottom)


def test_one_answer_for_all_rows_correlates_with_nothing_and_scores_the_majority() -> None:
    labels = np.array([1] * 7 + [0] * 3)
    found = Classification((Metric.matthews,)).score_answers(np.eye(2)[[1] * 10], labels)
    assert found["matthews"] == 0.0
    assert found["accuracy"] == found.majority == 0.7


def plain_ranking(
    rows: list[tuple[str, float, int]],
) -> tuple[float, float, int, int]:
    """MAP, MRR, groups and groups without a 1, by sorting each group's rows in turn."""
    precisions, firsts, without = [], [], 0
    groups = sorted({group for group, _, _ in rows})
    for group in groups:
        own = sorted((-value, label) for g, value, label in rows if g == group)
        labels = [label for _, label in own]  # among equal values the 0 comes first
        if 1 not in labels:
            without += 1
            continue
        at = [n + 1 for n, label in enumerate(labels) if label]
        precisions.append(sum((n + 1) / place for n, place in enumerate(at)) / len(at))
        firsts.append(1 / at[0])
    kept = len(groups) - without
    return sum(precisions) / kept, sum(firsts) / kept, len(groups), without


@pytest.mark.parametrize("seed", range(8))
def test_map_and_mrr_are_those_of_a_plain_count_ties_included(seed: int) -> None:
    draw = random.Random(seed)
    rows = [
        (f"q{draw.randrange(25)}", float(draw.randrange(6)), int(draw.random() < 0.2))
        for _ in range(150)
    ]
    groups = np.array([int(group[1:]) for group, _, _ in rows])
    labels = np.array([label for _, _, label in rows])
    values = np.array([value for _, value, _ in rows])
    # What ranks is the difference of the two logits, not the second alone; quarters are exact.
    shift = np.array([draw.randrange(40) / 4 for _ in rows])
    logits = np.stack([shift, shift + values], axis=1)
    found = Classification(RANKINGS).score_answers(logits, labels, groups=groups)
    precision, first, questions, without = plain_ranking(rows)
    assert (found.questions, found.without_positive) == (questions, without)
    assert found.metrics["map"] == pytest.approx(precision)
    assert found.metrics["mrr"] == pytest.approx(first)


def test_a_constant_model_gains_nothing_by_the_order_of_the_rows() -> None:
    logits, groups = np.zeros((4, 2)), np.zeros(4, dtype=int)
    for labels in ([1, 0, 0, 0], [0, 0, 0, 1]):
        found = Classification(RANKINGS).score_answers(logits, np.array(labels), groups=groups)
        assert (found["map"], found["mrr"]) == (0.25, 0.25)


@pytest.mark.parametrize(("n", "ones"), [(1, 1), (4, 1), (5, 2), (5, 5), (6, 3)])
def test_chance_is_the_mean_over_every_order(n: int, ones: int) -> None:
    labels = [1] * ones + [0] * (n - ones)
    for metric, at in zip(RANKINGS, (0, 1), strict=True):
        every = [
            plain_ranking([("q", -float(place), label) for place, label in enumerate(order)])[at]
            for order in permutations(labels)
        ]
        ranked = rank(np.zeros(n), np.array(labels), np.zeros(n, dtype=int))
        assert expected_at_random(metric, ranked) == pytest.approx(sum(every) / len(every))


def test_accuracy_is_always_there_and_leads() -> None:
    labels, logits = answers(2, 1)
    found = Classification((Metric.matthews, Metric.f1)).score_answers(logits, labels)
    assert list(found.metrics) == ["accuracy", "matthews", "f1"]
    assert found.primary_metric == "accuracy"


def test_correlations_of_scores_are_scipys_row_by_row_of_many_at_once() -> None:
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 6, size=(4, 50)).astype(float)  # with ties
    told = labels + draw.normal(size=(4, 50))
    for at in range(4):
        linear, ranked = stats.pearsonr(told[at], labels[at]), stats.spearmanr(told[at], labels[at])
        assert pearson(told, labels)[at] == pytest.approx(linear.statistic)
        assert spearman(told, labels)[at] == pytest.approx(ranked.statistic)


@pytest.mark.parametrize("metric", [pearson, spearman])
def test_one_score_for_all_rows_correlates_with_nothing(metric: Callable[..., np.ndarray]) -> None:
    # 0.1 has no exact mean, so that rounding leaves something of a spread.
    assert metric(np.full(7, 0.1), np.arange(7.0)) == 0.0
    assert metric(np.arange(7.0), np.full(7, 0.1)) == 0.0


def test_a_score_of_scores_has_its_main_metrics_interval_and_no_accuracy() -> None:
    draw = np.random.default_rng(1)
    labels = draw.uniform(0, 5, size=400).astype(np.float32)
    told = (labels + draw.normal(size=400)).astype(np.float32)[:, None]
    found = Regression().score_answers(told, labels)
    assert list(found.metrics) == ["pearson", "spearman"]
    assert (found.primary_metric, found.value) == ("pearson", found["pearson"])
    assert found.majority is None
    fisher = stats.pearsonr(told[:, 0], labels).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((fisher.low, fisher.high), abs=0.01)


def test_the_lead_in_a_ranking_is_paired_over_the_groups_with_students_interval() -> None:
    # Group 0: ranks 1 against 2; group 1: both 1; group 2 has nothing to be found; group 3: 1, 3.
    labels = [1, 0, 1, 0, 0, 0, 0, 1, 0]
    groups = ["a", "a", "b", "b", "c", "c", "d", "d", "d"]
    ours = [2.0, 1.0, 2.0, 1.0, 1.0, 0.0, 1.0, 3.0, 2.0]
    theirs = [1.0, 2.0, 2.0, 1.0, 1.0, 0.0, 3.0, 1.0, 2.0]
    rows = datasets.Dataset.from_dict({"label": labels, "group": groups})
    two = [np.stack([np.zeros(9), np.array(scores)], axis=1) for scores in (ours, theirs)]
    found = Classification((Metric.mrr,)).ranking_leads(*two, rows)["mrr"]
    assert found is not None
    differences = [1 - 1 / 2, 0.0, 1 - 1 / 3]
    mean = sum(differences) / 3
    error = math.sqrt(sum((one - mean) ** 2 for one in differences) / 2 / 3)
    assert found.groups == 3
    assert found.difference == pytest.approx(mean)
    assert found.low == pytest.approx(mean - 4.30265273 * error)
    assert found.high == min(1, mean + 4.30265273 * error) == 1
    few = [logits[:2] for logits in two]
    assert Classification((Metric.mrr,)).ranking_leads(*few, rows.select([0, 1])) == {"mrr": None}
