"""What a report says of the trials of a tuned run."""

from __future__ import annotations

import json

import pytest
from support.results import AT_CHANCE, a_job, a_result, a_score, a_student, a_tuning

from distill_runner.planning.stages import TrialSettings
from distill_runner.report.at_chance import warnings
from distill_runner.report.choosing import choice_lines
from distill_runner.report.sweeps import differing_overrides
from distill_runner.report.tuning import list_values, name_trial, tuning_line
from distill_runner.results.schema import RunResult
from distill_runner.results.typed_json import from_json, to_json

TUNED = {"test": a_score(0.7), "selection_on_validation": a_score(0.9)}


@pytest.mark.parametrize(
    ("rate", "epochs", "name", "values"),
    [
        (5e-5, 3, "5e-05, 3 epochs", "learning rates 5e-05; epochs 3"),
        (5e-5, None, "5e-05", "learning rates 5e-05"),
        (None, 1, "1 epoch", "epochs 1"),
    ],
)
def test_a_trial_is_named_by_what_it_varies(
    rate: float | None, epochs: int | None, name: str, values: str
) -> None:
    trial = TrialSettings(rate, epochs)
    assert name_trial(trial) == name
    assert list_values([trial, trial]) == values


def test_the_line_below_the_table_names_both_choices() -> None:
    assert tuning_line(a_result()) is None
    assert tuning_line(a_result(tuning=a_tuning((0.9, 0.8), (0.7, 0.6)))) == (
        "Tuned on validation, the same 2 trials for both (learning rates 1e-05, 2e-05): "
        "kd 1e-05; no teacher 1e-05."
    )


def test_tuning_is_written_to_result_json_and_read_back() -> None:
    result = a_result(tuning=a_tuning((0.9, 0.8), (0.7, 0.6)))
    written = json.loads(json.dumps(to_json(result)))
    assert written["tuning"]["trials"][1] == {
        "learning_rate": 2e-5,
        "epochs": None,
        "student": 0.7,
        "baseline": 0.6,
    }
    assert from_json(RunResult, written) == result


def test_a_student_at_chance_is_advised_to_change_what_the_trials_vary() -> None:
    lost = a_student(no_better_than_chance=True, chance=AT_CHANCE)
    (plain,) = warnings(a_result(student=lost))
    (tuned,) = warnings(a_result(student=lost, tuning=a_tuning((0.5, 0.5))))
    assert plain.endswith("Try more training.epochs, or a larger training.learning_rate.")
    assert tuned.endswith("Try more training.epochs, or larger tune.learning_rates.")


def test_a_sweep_says_that_validation_has_chosen_the_training_of_its_jobs() -> None:
    tuned = a_result(metrics=TUNED, tuning=a_tuning((0.9, 0.8)), overrides=("seed=2",))
    jobs = [a_job("0", a_result(overrides=("seed=1",))), a_job("1", tuned)]
    lines = choice_lines(jobs, differing_overrides(jobs))
    assert "job 1 (seed=2), 90.00" in lines[0]
    assert lines[-1] == "Validation has chosen each job's training too, so it is no result."
