"""Models that are no better than chance, said where their figures stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def mark(model: Mapping[str, Any]) -> str:
    """Behind a model's name: nothing, or what it is no better than."""
    known = model.get("chance")
    return f" ({known['label']})" if known else ""


def at_chance(model: Mapping[str, Any] | None) -> bool:
    """Whether there is such a model and it is no better than chance."""
    return bool(model and model.get("no_better_than_chance"))


def both_at_chance(result: Mapping[str, Any]) -> bool:
    """Whether student and student without a teacher are, so that no gain lies between them."""
    return at_chance(result["student"]) and at_chance(result["baseline"])


def warnings(result: Mapping[str, Any]) -> list[str]:
    """One line for each model of a finished run that is no better than chance."""
    return [
        _warning(name, model, result.get("max_steps"))
        for name, model in _models(result)
        if at_chance(model)
    ]


def students_warning(result: Mapping[str, Any]) -> str | None:
    """Of the deployed model alone, for its card."""
    student = result["student"]
    known = at_chance(student)
    return _warning("this student", student, result.get("max_steps")) if known else None


def _models(result: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for teacher in result["teachers"]:
        yield f"the teacher {teacher['name']}", teacher
    for stage in result["between"]:
        yield stage["name"], stage
    if result["baseline"]:
        yield "the student without a teacher", result["baseline"]
    yield "the student", result["student"]


def _warning(name: str, model: Mapping[str, Any], max_steps: int | None) -> str:
    known = model["chance"]
    longer = "more training.epochs"
    if max_steps is not None:
        longer = f"a larger training.max_steps than {max_steps}"
    advice = f" Try {longer}, or a larger training.learning_rate."
    if name.startswith("the teacher"):
        advice = ""  # it was allowed to be so
    if known["one_answer"] is not None:
        return (
            f"WARNING: {name} answers {known['one_answer']!r} for all {known['rows']:,} "
            f"{known['split']} rows: it has learned nothing.{advice}"
        )
    verb = "" if known["label"].startswith("ranks") else "is "
    return (
        f"WARNING: {name} {verb}{known['label']} on {known['split']}: {known['evidence']}.{advice}"
    )
