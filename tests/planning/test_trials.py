"""Which runs can be tuned, and what their plan says."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.tiny import planned, run, shrunk

from distill_runner.errors import Refused

RATES = "tune.learning_rates=[2e-3,5e-3]"


def refusal_of(store: Path, method: str, *overrides: str) -> Refused:
    with pytest.raises(Refused) as caught:
        planned(shrunk(store, f"method={method}", *overrides), method)
    return caught.value


@pytest.mark.parametrize("method", ["born_again", "noisy_student", "many_on_many"])
def test_a_method_that_deploys_a_repeated_student_is_refused(method: str, tmp_path: Path) -> None:
    refused = refusal_of(tmp_path, method, RATES)
    assert refused.key == "tune.learning_rates"
    assert refused.value == [2e-3, 5e-3]
    assert refused.way_out == "tune=none, or another method"
    planned(shrunk(tmp_path, f"method={method}", "tune=none"), method)


def test_trials_without_validation_rows_are_refused_and_a_single_value_is_not(
    tmp_path: Path,
) -> None:
    none = "dataset.split.validation=0"
    refused = refusal_of(tmp_path, "kd", "tune.epochs=[1,2]", none)
    assert (refused.key, refused.value) == ("tune.epochs", [1, 2])
    assert "no validation rows" in refused.what
    _, plan = planned(shrunk(tmp_path, "method=kd", "tune.epochs=[3]", none))
    assert plan.stage("kd").training.epochs == plan.stage("baseline").training.epochs == 3


def test_a_value_that_is_named_twice_is_refused(tmp_path: Path) -> None:
    refused = refusal_of(tmp_path, "kd", "tune.learning_rates=[1e-3,2e-3,0.001]")
    assert refused.key == "tune.learning_rates"
    assert refused.way_out == "tune.learning_rates=[0.001,0.002]"


@pytest.mark.parametrize("given", ["tune.learning_rates=[2e-3,1.5]", "tune.epochs=[0,1]"])
def test_a_value_out_of_range_is_refused(given: str, tmp_path: Path) -> None:
    assert refusal_of(tmp_path, "kd", given).key == given.partition("=")[0]


def test_the_grid_has_three_learning_rates_by_two_numbers_of_epochs(tmp_path: Path) -> None:
    _, plan = planned(shrunk(tmp_path, "method=kd", "tune=grid"))
    assert [(trial.learning_rate, trial.epochs) for trial in plan.trials] == [
        (rate, epochs) for rate in (2e-5, 5e-5, 1e-4) for epochs in (2, 3)
    ]
    _, plain = planned(shrunk(tmp_path, "method=kd"))
    assert plain.trials == ()


def test_the_first_trial_is_the_plan_and_changes_only_student_and_baseline(tmp_path: Path) -> None:
    asked = ("method=tmkd", "teacher=bert")
    _, tuned = planned(shrunk(tmp_path, *asked, RATES), "tmkd")
    _, plain = planned(shrunk(tmp_path, *asked), "tmkd")
    changed = {
        ours.name
        for ours, theirs in zip(tuned.stages, plain.stages, strict=True)
        if ours.training != theirs.training
    }
    assert changed == {"finetune", "baseline"}
    rates = {tuned.stage(name).training.learning_rate for name in changed}
    assert rates == {2e-3}


@pytest.mark.parametrize(
    ("typed", "grid"),
    [
        ("training.learning_rate=0.03", RATES),
        ("training.epochs=7", "tune.epochs=[1,2]"),
    ],
)
@pytest.mark.parametrize("method", ["kd", "mutual"])
def test_a_typed_setting_that_the_trials_replace_is_refused(
    typed: str, grid: str, method: str, tmp_path: Path
) -> None:
    with pytest.raises(Refused) as caught:
        run(tmp_path / "run", tmp_path / "store", method, typed, grid, "dry_run=true")
    key, values = typed.partition("=")[0], grid.partition("=")[0]
    assert caught.value.key == key
    assert caught.value.way_out == f"the same without {key}, which {values} replaces"


@pytest.mark.parametrize(
    ("typed", "grid"),
    [
        ("training.learning_rate=0.03", "tune.epochs=[1,2]"),
        ("training.epochs=7", RATES),
        ("training.weight_decay=0.1", RATES),
    ],
)
def test_a_typed_setting_that_the_trials_leave_alone_is_read(
    typed: str, grid: str, tmp_path: Path
) -> None:
    run(tmp_path / "run", tmp_path / "store", "finetune", typed, grid, "dry_run=true")


def test_a_dry_run_says_how_many_trials_there_are_and_trains_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("teacher=bert", RATES, "tune.epochs=[1,2]", "dry_run=true")
    run(tmp_path / "run", tmp_path / "store", "kd", *asked)
    printed = capsys.readouterr().out
    trials = "the same 4 trials (learning rates 0.002, 0.005; epochs 1, 2)"
    assert f"tuning: kd and the student without a teacher get {trials}" in printed
    assert not list((tmp_path / "store" / "stages").glob("*"))


def test_a_dry_run_refuses_what_cannot_be_tuned(tmp_path: Path) -> None:
    asked = ("tune=grid", "dry_run=true")
    with pytest.raises(Refused) as caught:
        run(tmp_path / "run", tmp_path / "store", "born_again", *asked)
    assert caught.value.key == "tune.learning_rates"
