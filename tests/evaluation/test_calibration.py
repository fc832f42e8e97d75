"""Calibration error, Brier score and likelihood by hand, and temperatures that are known."""

from __future__ import annotations

import math
from statistics import mean

import numpy as np
import pytest

from distill_runner.evaluation.calibration import Outputs, calibrate
from distill_runner.evaluation.metrics.calibration import (
    BINS,
    Forecast,
    bin_rows,
    calibration_error,
    error_if_exact,
    error_interval,
    forecast_classes,
    forecast_sets,
    mean_interval,
)
from distill_runner.evaluation.metrics.temperature import (
    FEWEST_ROWS,
    FEWEST_WRONG,
    Temperature,
    fit_for_classes,
    fit_for_label,
)
from distill_runner.tasks.classification import Classification
from distill_runner.tasks.multi_label import MultiLabel
from distill_runner.tasks.regression import Regression

EACH = np.arange(100_000)  # every row its own cluster


def claims(shares: list[float], happened: list[int]) -> Forecast:
    """A forecast of one event, of which only the calibration error is asked."""
    rows, none = np.array(shares)[:, None], np.zeros(len(shares))
    return Forecast(rows, np.array(happened)[:, None] == 1, brier=none, nll=none)


def drawn(
    rows: int, *, scale: float = 1.0, seed: int = 1, classes: int = 3
) -> tuple[np.ndarray, np.ndarray]:
    """Logits times `scale`, and labels drawn from the softmax of the logits without it."""
    draw = np.random.default_rng(seed)
    logits = 2 * draw.normal(size=(rows, classes))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (shares.cumsum(axis=1) > draw.random((rows, 1))).argmax(axis=1)
    return scale * logits, labels


def drawn_sets(rows: int, scales: list[float], seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Logits of several labels, each times its scale, and labels drawn without it."""
    draw = np.random.default_rng(seed)
    logits = 2 * draw.normal(size=(rows, len(scales)))
    labels = draw.random(logits.shape) < 1 / (1 + np.exp(-logits))
    return logits * scales, labels.astype(np.float32)


# --- bins ------------------------------------------------------------------------------------


def test_bins_have_as_many_rows_each() -> None:
    shares = np.random.default_rng(1).permutation(np.linspace(0.5, 1, 45))
    assert np.bincount(bin_rows(shares)).tolist() == [3] * BINS
    assert (np.diff(bin_rows(np.sort(shares))) >= 0).all()


def test_equal_shares_are_in_one_bin_whatever_the_order_of_the_rows() -> None:
    # 30 rows, two to a bin; the ten that claim 0.7 follow five smaller ones: bin ⌊15·5/30⌋ = 2.
    shares = np.array([0.5, 0.51, 0.52, 0.53, 0.54, *[0.7] * 10, *np.linspace(0.8, 0.9, 15)])
    assert set(bin_rows(shares)[5:15].tolist()) == {2}
    order = np.random.default_rng(2).permutation(30)
    assert (bin_rows(shares[order]) == bin_rows(shares)[order]).all()


def test_fewer_rows_than_bins_are_each_alone() -> None:
    assert len(set(bin_rows(np.array([0.9, 0.6, 0.7])).tolist())) == 3
    found = claims([0.9, 0.6, 0.7], [1, 0, 1])
    # |1 − 0.9|/3 + |0 − 0.6|/3 + |1 − 0.7|/3
    assert calibration_error(found) == pytest.approx(1 / 3)


# --- measures --------------------------------------------------------------------------------


def test_the_calibration_error_by_hand() -> None:
    # Two claims only: of six rows that claim 0.8 three are right, of four that claim 0.6 all.
    found = claims([0.8] * 6 + [0.6] * 4, [1, 1, 1, 0, 0, 0, 1, 1, 1, 1])
    assert calibration_error(found) == pytest.approx(0.6 * abs(3 / 6 - 0.8) + 0.4 * abs(1 - 0.6))


def test_the_calibration_error_by_slow_arithmetic() -> None:
    logits, labels = drawn(200, scale=2)
    found = forecast_classes(logits, labels)
    rows = sorted(zip(found.shares[:, 0].tolist(), found.happened[:, 0].tolist(), strict=True))
    bins: dict[int, list[tuple[float, bool]]] = {}
    for rank, row in enumerate(rows):
        bins.setdefault(math.floor(15 * rank / 200), []).append(row)
    parts = [
        len(one) / 200 * abs(mean(right for _, right in one) - mean(share for share, _ in one))
        for one in bins.values()
    ]
    assert calibration_error(found) == pytest.approx(sum(parts))


def test_brier_and_likelihood_of_classes_are_sums_over_the_classes() -> None:
    # Probabilities 0.7, 0.2, 0.1 of the second class; the first is right, then the third.
    logits = np.log([[0.7, 0.2, 0.1], [0.7, 0.2, 0.1]])
    found = forecast_classes(logits, np.array([0, 2]))
    assert found.brier == pytest.approx([0.3**2 + 0.2**2 + 0.1**2, 0.7**2 + 0.2**2 + 0.9**2])
    assert found.nll == pytest.approx([-math.log(0.7), -math.log(0.1)])
    assert found.shares[:, 0] == pytest.approx([0.7, 0.7])
    assert found.happened[:, 0].tolist() == [True, False]


def test_brier_and_likelihood_of_label_sets_are_means_over_the_labels() -> None:
    shares, labels = np.array([[0.9, 0.4]]), np.array([[1, 1]], dtype=np.float32)
    found = forecast_sets(np.log(shares / (1 - shares)), labels)
    assert found.brier == pytest.approx([(0.1**2 + 0.6**2) / 2])
    assert found.nll == pytest.approx([-(math.log(0.9) + math.log(0.4)) / 2])
    # Each row is alone in its bin: the mean over the labels of |1 − p|.
    assert calibration_error(found) == pytest.approx((0.1 + 0.6) / 2)


def test_logits_beyond_what_exp_can_hold_have_finite_scores() -> None:
    found = forecast_classes(np.array([[2000.0, -2000.0]], dtype=np.float32), np.array([1]))
    assert found.nll == pytest.approx([4000])
    sets = forecast_sets(np.array([[2000.0, -2000.0]]), np.array([[0.0, 0.0]]))
    assert sets.nll == pytest.approx([1000])
    assert sets.shares.tolist() == [[1.0, 0.0]]


# --- what is chance --------------------------------------------------------------------------


def test_exact_probabilities_have_the_error_that_is_announced() -> None:
    draws = [forecast_classes(*drawn(400, seed=seed)) for seed in range(60)]
    shown = mean(map(calibration_error, draws))
    assert shown == pytest.approx(mean(map(error_if_exact, draws)), rel=0.05)
    assert shown > 0.03  # and not nearly 0, although every probability is exact


@pytest.mark.parametrize("scale", [1, 2])
def test_the_interval_holds_the_error_of_all_rows(scale: float) -> None:
    # Of so many rows that chance plays no part.
    true = calibration_error(forecast_classes(*drawn(400_000, scale=scale)))
    assert (true < 0.005) == (scale == 1)
    held = 0
    for seed in range(60):
        found = forecast_classes(*drawn(300, scale=scale, seed=seed))
        interval = error_interval(found, EACH[:300])
        assert interval is not None
        assert interval.low <= calibration_error(found) <= interval.high
        held += interval.low <= true <= interval.high
    assert held >= 54  # 95% of 60 are 57


def test_rows_that_belong_together_count_once() -> None:
    logits, labels = drawn(200, scale=2)
    five = np.repeat(np.arange(200), 5)
    once, copied = forecast_classes(logits, labels), forecast_classes(logits[five], labels[five])
    of_rows, of_copies = (
        (error_interval(found, clusters), mean_interval(found.nll, clusters))
        for found, clusters in ((once, EACH[:200]), (copied, five))
    )
    for copies, rows in zip(of_copies, of_rows, strict=True):
        assert copies is not None
        assert rows is not None
        assert (copies.low, copies.high) == pytest.approx((rows.low, rows.high))
    narrow, wide = error_interval(copied, EACH[:1000]), of_rows[0]
    assert narrow is not None
    assert wide is not None
    assert narrow.high - narrow.low < 0.6 * (wide.high - wide.low)


def test_a_single_cluster_has_no_interval_and_no_error_an_empty_one() -> None:
    found = claims([0.5, 0.7], [0, 1])
    assert error_interval(found, np.zeros(2, dtype=int)) is None
    assert mean_interval(np.array([0.1, 0.2]), np.zeros(2, dtype=int)) is None
    perfect = error_interval(claims([1.0, 1.0, 1.0], [1, 1, 1]), EACH[:3])
    assert perfect is not None
    assert (perfect.low, perfect.high) == (0, 0)


# --- temperatures ----------------------------------------------------------------------------


@pytest.mark.parametrize("known", [0.4, 1.0, 3.0])
def test_a_known_temperature_is_found(known: float) -> None:
    logits, labels = drawn(20_000, scale=known)
    found = fit_for_classes(logits, labels, EACH[:20_000])
    assert found.value == pytest.approx(known, rel=0.04)
    assert found.not_fitted is None


def test_no_other_temperature_has_a_smaller_loss() -> None:
    logits, labels = drawn(300, scale=1.7, classes=2)
    found = fit_for_classes(logits, labels, EACH[:300]).value

    def loss(temperature: float) -> float:
        rows = zip((logits / temperature).tolist(), labels.tolist(), strict=True)
        return mean(math.log(sum(map(math.exp, row))) - row[label] for row, label in rows)

    assert loss(found) < min(loss(found * 1.001), loss(found / 1.001))


def test_each_label_has_a_temperature_of_its_own() -> None:
    logits, labels = drawn_sets(20_000, [0.5, 2.0])
    found = MultiLabel().fit_temperatures(logits, labels, EACH[:20_000])
    assert [one.value for one in found] == pytest.approx([0.5, 2.0], rel=0.04)


def test_what_cannot_be_fitted_is_left_as_it_is_and_says_why() -> None:
    logits, labels = drawn(FEWEST_ROWS)
    each, right = EACH[:FEWEST_ROWS], logits.argmax(axis=1)
    few = fit_for_classes(logits[:-1], labels[:-1], each[:-1])
    assert few == Temperature(1.0, "99 independent validation rows, and it takes 100")
    together = fit_for_classes(logits, labels, each // 2)
    assert together.not_fitted == "50 independent validation rows, and it takes 100"
    sure = fit_for_classes(logits, right, each)
    assert sure == Temperature(1.0, f"0 wrong on validation, and it takes {FEWEST_WRONG}")
    opposite = fit_for_label(logits[:, 0], (logits[:, 0] < 0).astype(float), each)
    assert opposite == Temperature(1.0, "none from 0.01 to 100 is best on validation")


# --- a model ---------------------------------------------------------------------------------


def outputs(logits: np.ndarray, labels: np.ndarray) -> Outputs:
    return Outputs(logits, labels, EACH[: len(logits)])


def test_a_model_is_judged_on_other_rows_than_it_is_fitted_on() -> None:
    validation, test = outputs(*drawn(2000, scale=3)), outputs(*drawn(3000, scale=3, seed=2))
    found = calibrate(Classification(), validation, {"test": test}, ("a", "b", "c"))
    judged = found.splits["test"]
    assert list(found.splits) == ["test"]
    assert (judged.n, judged.clusters) == (3000, 3000)
    assert judged.after is not None
    by_hand = forecast_classes(test.logits / found.values[0], test.labels)
    assert judged.after.nll.value == pytest.approx(by_hand.nll.mean())
    assert judged.after.brier.value == pytest.approx(by_hand.brier.mean())
    assert judged.after.ece.value == pytest.approx(calibration_error(by_hand))
    assert judged.after.ece.value < judged.before.ece.value / 3
    assert judged.after.nll.value < judged.before.nll.value
    each = by_hand.nll - forecast_classes(test.logits, test.labels).nll
    assert judged.nll_change is not None
    assert judged.nll_change.value == pytest.approx(each.mean())
    # t(0.975, 2,999 degrees of freedom) = 1.960755, rows of their own.
    reach = 1.960755 * each.std(ddof=1) / math.sqrt(3000)
    assert judged.nll_change.low == pytest.approx(each.mean() - reach)
    assert judged.nll_change.high == pytest.approx(each.mean() + reach)


def test_without_validation_rows_nothing_is_fitted_and_the_rest_is_judged() -> None:
    test = outputs(*drawn_sets(200, [1.0, 2.0]))
    found = calibrate(MultiLabel(), None, {"test": test}, ("a", "b"))
    assert [one.label for one in found.temperatures] == ["a", "b"]
    assert {one.not_fitted for one in found.temperatures} == {"there are no validation rows"}
    assert not found.fitted
    assert found.splits["test"].after is None
    assert found.splits["test"].nll_change is None


def test_a_rare_label_is_left_as_it_is_beside_one_that_is_fitted() -> None:
    logits, labels = drawn_sets(1000, [2.0, 2.0])
    logits[:, 1], labels[:, 1] = -5, 0
    labels[:2, 1] = 1
    rows = outputs(logits, labels)
    common, rare = calibrate(MultiLabel(), rows, {"test": rows}, ("a", "b")).temperatures
    assert common.value == pytest.approx(2, rel=0.2)
    assert (rare.value, rare.not_fitted) == (1, "2 wrong on validation, and it takes 3")


def test_outputs_that_are_no_numbers_are_not_judged() -> None:
    logits, labels = drawn(200)
    logits[0, 0] = math.nan
    rows = outputs(logits, labels)
    found = calibrate(Classification(), rows, {"test": rows}, ("a", "b", "c"))
    assert found.temperatures[0].not_fitted == "an output on validation is no finite number"
    assert not found.splits


def test_scores_have_neither_temperatures_nor_probabilities() -> None:
    for ask in (Regression().fit_temperatures, Regression().forecast):
        with pytest.raises(RuntimeError, match="no probabilities"):
            ask(np.zeros((2, 1)), np.zeros(2))
