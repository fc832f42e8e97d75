"""Reports calibration: a table for the terminal, and a section of the model card."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from distill_runner.report.at_chance import at_chance
from distill_runner.report.fitted import Fitted, Row
from distill_runner.results.calibration import (
    Calibration,
    Measure,
    ModelCalibration,
    ProbabilityScores,
    SplitCalibration,
)
from distill_runner.results.schema import RunResult

_MUCH = 0.25  # share of an ECE above which the part that exact probabilities have is stated


def calibration_table(result: RunResult) -> Fitted | None:
    """Return a row for each model, before and after scaling, on test.

    Returns:
        None without test rows or probabilities, and for a student that is no better than chance,
        whose probabilities say nothing.
    """
    found = _shown(result)
    if found is None:
        return None
    judged = found.student.splits["test"]
    return Fitted(
        f"Probabilities on {judged.n:,} test rows, before → after division of the logits by T",
        ["model", "T", "ECE in % [95%]", "Brier", "NLL"],
        [
            Row(
                [
                    name,
                    _temperature(model),
                    _change(model.splits["test"], _error),
                    _change(model.splits["test"], lambda scores: f"{scores.brier.value:.3f}"),
                    _change(model.splits["test"], lambda scores: f"{scores.nll.value:.3f}"),
                ],
                "bold" if model is found.student else "",
            )
            for name, model in found.models.items()
            if "test" in model.splits
        ],
        names=("model",),
    )


def calibration_lines(result: RunResult) -> list[str]:
    """Say below the table what T is, why one is missing, and how much of an ECE is chance."""
    found = _shown(result)
    if found is None:
        return []
    lines = []
    if any(model.fitted for model in found.models.values()):
        lines.append(
            f"T is fitted on the {found.validation_rows:,} validation rows and changes no "
            "prediction; predict_proba of the loaded student applies it."
        )
    return [*lines, *_not_fitted(found), *_exact(found.student.splits["test"])]


def calibration_section(result: RunResult) -> list[str]:
    """Return the section of the model card; empty without probabilities or rows to judge them."""
    found = result.calibration
    if found is None or not found.student.splits:
        return []
    head = ("model", "split", "T", "ECE in % [95%]", "Brier", "NLL")
    rows = [
        (name, split, _temperature(model), _change(judged, _error), _change(judged, _brier_nll[0]))
        for name, model in found.models.items()
        for split, judged in model.splits.items()
    ]
    return [str(head), str(rows)]


def _shown(result: RunResult) -> Calibration | None:
    """Return what the terminal shows; None if there is nothing to say."""
    found = result.calibration
    if found is None or "test" not in found.student.splits or at_chance(result.student):
        return None
    return found
