"""Marks models that are no better than chance, and warns about them."""

from __future__ import annotations

from collections.abc import Iterator

from distill_runner.results.schema import ModelResult, RunResult


def mark(model: ModelResult) -> str:
    """Return a suffix for the model's name that says what it is no better than, or nothing."""
    return f" ({model.chance.label})" if model.chance else ""


def at_chance(model: ModelResult | None) -> bool:
    """Return whether the model exists and is no better than chance."""
    return model is not None and bool(model.no_better_than_chance)


def both_at_chance(result: RunResult) -> bool:
    """Return whether student and baseline are both at chance, so that a gain means nothing."""
    return at_chance(result.student) and at_chance(result.baseline)


def warnings(result: RunResult) -> list[str]:
    """Return a warning for each model of a finished run that is no better than chance."""
    return [_warning(name, model, result) for name, model in _models(result) if model.chance]


def student_warning(result: RunResult) -> str | None:
    """Return the warning about the deployed model, for its card; None if there is none."""
    student = result.student
    return _warning("this student", student, result) if student.chance else None


def _models(result: RunResult) -> Iterator[tuple[str, ModelResult]]:
    for teacher in result.teachers:
        yield f"the teacher {teacher.name}", teacher
    for stage in result.between:
        yield stage.name, stage
    if result.baseline:
        yield "the student without a teacher", result.baseline
    yield "the student", result.student


def _advice(result: RunResult) -> str:
    """Name the settings that would let a student learn more, as this run reads them."""
    longer, rate = "more training.epochs", "a larger training.learning_rate"
    if result.tuning is not None:
        trial = result.tuning.trials[0]
        longer = longer if trial.epochs is None else "more tune.epochs"
        rate = rate if trial.learning_rate is None else "larger tune.learning_rates"
    if result.max_steps is not None:
        longer = f"a larger training.max_steps than {result.max_steps}"
    return f" Try {longer}, or {rate}."


def _warning(name: str, model: ModelResult, result: RunResult) -> str:
    chance, advice = model.chance, _advice(result)
    assert chance is not None
    if name.startswith("the teacher"):
        advice = ""  # teacher.near_chance=allow was typed for it
    if chance.one_answer is not None:
        return (
            f"WARNING: {name} predicts {chance.one_answer!r} for all {chance.rows:,} "
            f"{chance.split} rows: it has learned nothing.{advice}"
        )
    verb = "" if chance.label.startswith("ranks") else "is "
    return f"WARNING: {name} {verb}{chance.label} on {chance.split}: {chance.evidence}.{advice}"
