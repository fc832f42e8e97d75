"""Typed results for tests that need the figures and not the training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distill_runner.results.calibration import (
    Calibration,
    LabelTemperature,
    Measure,
    ModelCalibration,
    ProbabilityScores,
    SplitCalibration,
)
from distill_runner.results.files import Attempt, Job, Status
from distill_runner.results.measurements import AtChance, Training
from distill_runner.results.origins import DataResult, Origin, Provenance, SplitSizes
from distill_runner.results.schema import (
    BaselineResult,
    JointTeachers,
    RunResult,
    StageResult,
    StudentResult,
    TeacherResult,
    TuningResult,
    TuningTrial,
)
from distill_runner.results.scores import Gain, Score

TRAINING = Training(
    epochs=1,
    steps=10,
    kept_epoch=1,
    wall_seconds=2.0,
    examples_per_second=10.0,
    real_tokens_per_second=100.0,
    peak_memory_bytes=1,
    counts={},
    device="cpu",
    machine="x86_64",
    precision="float32",
)
AT_CHANCE = AtChance(
    split="test",
    rows=100,
    label="no better than the largest class",
    evidence="its 95% interval starts at 40.0, the largest class has 50.0",
    one_answer=None,
)


def a_score(accuracy: float, *, reach: float = 0.1, **metrics: float) -> Score:
    """Accuracy on 100 rows, its interval so far to both sides, and other metrics."""
    return Score(
        primary_metric="accuracy",
        n=100,
        clusters=100,
        effective_n=100.0,
        low=accuracy - reach,
        high=accuracy + reach,
        majority=0.5,
        questions=None,
        without_positive=None,
        metrics={"accuracy": accuracy, **metrics},
    )


def a_gain(difference: float, *, reach: float = 0.1) -> Gain:
    return Gain(
        difference=difference,
        low=difference - reach,
        high=difference + reach,
        transferred=None,
        ranking={},
    )


def a_baseline(scores: Mapping[str, Score], **changed: Any) -> BaselineResult:
    facts: dict[str, Any] = {
        "parameters": 1000,
        "may_have_seen_test_rows": False,
        "no_better_than_chance": False,
        "chance": None,
        "steps": 10,
        "fewer_steps": False,
        "selection": "last",
        "times_smaller": {},
        "metrics": scores,
        "training": TRAINING,
        "gain": {split: a_gain(0.0) for split in scores},
    }
    return BaselineResult(**facts | changed)


def a_student(**changed: Any) -> StudentResult:
    facts: dict[str, Any] = {
        "name": "small",
        "model": "small",
        "layers": None,
        "parameters": 1000,
        "steps": 10,
        "may_have_seen_test_rows": False,
        "no_better_than_chance": False,
        "chance": None,
        "origin": Origin(base_model=None, license=None),
        "members": (),
        "times_smaller": {},
    }
    return StudentResult(**facts | changed)


def a_teacher(name: str = "large", **changed: Any) -> TeacherResult:
    facts: dict[str, Any] = {
        "name": name,
        "model": name,
        "layers": None,
        "parameters": 2000,
        "steps": 10,
        "seed": 1001,
        "may_have_seen_test_rows": False,
        "no_better_than_chance": False,
        "chance": None,
        "metrics": {},
    }
    return TeacherResult(**facts | changed)


def a_pair_of_teachers(scores: Mapping[str, Score]) -> JointTeachers:
    return JointTeachers(
        combine="logit_mean",
        parameters=4000,
        may_have_seen_test_rows=False,
        no_better_than_chance=False,
        chance=None,
        metrics=scores,
    )


_DATA = DataResult(
    name="synthetic",
    task="classification",
    hub=None,
    subset=None,
    texts=("text",),
    max_tokens=64,
    split=SplitSizes(scheme="random", train=None, quiz=0, validation=None, test=None),
    split_seed=1,
    rows={"train": 1000, "validation": 100, "test": 100},
    left_out={},
    fingerprints={},
    classes=("negative", "positive"),
    training_texts=None,
)
_PROVENANCE = Provenance(
    distill_run="0.1.0",
    git=None,
    instruction_set="AVX2",
    processor="a processor",
    system="Linux x86_64",
    python="3.12.0",
    packages={},
    models={},
    data={},
)


def a_result(validation: float = 0.8, test: float = 0.8, **changed: Any) -> RunResult:
    """A finished run of one student on 100 rows; its baseline has 50 % on every split."""
    metrics = {"validation": a_score(validation), "test": a_score(test)}
    facts: dict[str, Any] = {
        "key": "0",
        "method": "kd",
        "seed": 1,
        "experiment": None,
        "profile": "tiny",
        "dataset": "synthetic",
        "formula": "L = CE(y, s)",
        "primary_metric": "accuracy",
        "scored_by": ("accuracy",),
        "selection": "last",
        "max_steps": None,
        "overrides": ("profile=tiny",),
        "published": None,
        "teachers": (),
        "together": None,
        "between": (),
        "trained_teachers": (),
        "pretrain": None,
        "student": a_student(),
        "random_models": (),
        "metrics": metrics,
        "golden_head": None,
        "baseline": a_baseline({split: a_score(0.5) for split in metrics}),
        "stopped": None,
        "tuning": None,
        "broken_off": None,
        "agreement": {},
        "calibration": None,
        "robustness": None,
        "latency": None,
        "training": TRAINING,
        "teachers_on_training_rows": {},
        "data": _DATA,
        "stages": {
            "kd": StageResult(role="student", key="0", trained_now=True, training_seconds=2.0)
        },
        "versions": {},
        "provenance": _PROVENANCE,
    }
    return RunResult(**facts | changed)


def a_tuning(*scores: tuple[float, float]) -> TuningResult:
    """Trials with these validation scores of student and baseline; the first is kept for both."""
    trials = tuple(
        TuningTrial(learning_rate=at * 1e-5, epochs=None, student=student, baseline=baseline)
        for at, (student, baseline) in enumerate(scores, start=1)
    )
    return TuningResult(trials=trials, student=0, baseline=0)


def a_model_calibration(
    *errors: float,
    temperatures: Mapping[str | None, float | str],
    exact: float = 0.001,
    change: float = -0.1,
) -> ModelCalibration:
    """A model's calibration errors before and, if there is a second, after scaling on test.

    Args:
        temperatures: by label, T or why it was not fitted.
        exact: the error that exact probabilities would show.
        change: of the likelihood, its interval 0.01 to both sides.
    """
    scores = [
        ProbabilityScores(
            ece=Measure(value=error, low=error / 2, high=error * 2),
            ece_if_exact=exact,
            brier=Measure(value=2 * error, low=error, high=3 * error),
            nll=Measure(value=4 * error, low=error, high=5 * error),
        )
        for error in errors
    ]
    return ModelCalibration(
        temperatures=tuple(
            LabelTemperature(label=label, value=1.0, not_fitted=given)
            if isinstance(given, str)
            else LabelTemperature(label=label, value=given, not_fitted=None)
            for label, given in temperatures.items()
        ),
        splits={
            "test": SplitCalibration(
                n=100,
                clusters=90,
                before=scores[0],
                after=scores[1] if scores[1:] else None,
                nll_change=Measure(value=change, low=change - 0.01, high=change + 0.01)
                if scores[1:]
                else None,
            )
        },
    )


def a_calibration(**models: ModelCalibration) -> Calibration:
    """The calibration of models by name; `_` in a name is a space."""
    named = {name.replace("_", " "): model for name, model in models.items()}
    return Calibration(validation_rows=150, models=named)


def a_job(name: str, result: RunResult, *, seconds: float | None = 1.5) -> Job:
    """A finished job of a sweep."""
    attempt = Attempt(status="finished", overrides=result.overrides, seconds=seconds)
    return Job(name=name, attempt=attempt, result=result)


def a_lost_job(name: str, status: Status, error: str | None, *overrides: str) -> Job:
    """A job of a sweep without a result."""
    attempt = Attempt(status=status, overrides=("profile=tiny", *overrides), error=error)
    return Job(name=name, attempt=attempt)
