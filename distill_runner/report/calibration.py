"""Reports calibration: a table for the terminal, and a section of the model card."""

from __future__ import annotations

from distill_runner.console.names import join_names
from distill_runner.report.at_chance import at_chance
from distill_runner.report.fitted import Fitted, Row
from distill_runner.results.calibration import (
    Calibration,
    ModelCalibration,
    ProbabilityScores,
    SplitCalibration,
)
from distill_runner.results.schema import RunResult

_MUCH = 0.25  # share of an ECE above which it is said what exact probabilities would show
_COLUMNS = ("T", "ECE in % [95%]", "Brier", "NLL")


def calibration_table(result: RunResult) -> Fitted | None:
    """Return a row for each model: its probabilities on test, before and after scaling.

    Returns:
        None without test rows or probabilities, and for a student that is no better than chance,
        whose probabilities say nothing.
    """
    found = _shown(result)
    if found is None:
        return None
    scaled = ", before → after temperature scaling" if _fitted(found) else ""
    return Fitted(
        f"Probabilities on {found.student.splits['test'].n:,} test rows{scaled}",
        ["model", *_COLUMNS],
        [
            Row([name, *_cells(model, "test")], "bold" if model is found.student else "")
            for name, model in found.models.items()
            if "test" in model.splits
        ],
        names=("model",),
    )


def calibration_lines(result: RunResult) -> list[str]:
    """Say what the table does not: what T is, where there is none, what an ECE of 0 looks like."""
    found = _shown(result)
    if found is None:
        return []
    lines = []
    if _fitted(found):
        lines.append(
            f"T is fitted on the {found.validation_rows:,} validation rows and changes no "
            "prediction; the loaded student's predict_proba divides the logits by it."
        )
    judged = found.student.splits["test"]
    lines += [*_change_lines(judged), *_missing_lines(found), *_exact_lines(judged)]
    return lines


def calibration_section(result: RunResult) -> list[str]:
    """Return the section of the model card; empty without rows on which T could be judged."""
    found = result.calibration
    if found is None or not found.student.splits:
        return []
    rows = [
        (name.replace("|", "\\|"), split, *_cells(model, split))
        for name, model in found.models.items()
        for split in model.splits
    ]
    head = ("model", "split", *_COLUMNS)
    lines = [" | ".join(cells) for cells in (head, ["---"] * len(head), *rows)]
    return [
        "## Can its probabilities be trusted",
        "",
        _about(result, found),
        "",
        *(f"| {line} |" for line in lines),
        "",
        *(f"{line}\n" for line in _missing_lines(found)),
    ]


def _about(result: RunResult, found: Calibration) -> str:
    """Explain the card's table, and how to get the scaled probabilities."""
    explained = (
        "ECE is the expected calibration error in 15 equal-mass bins, its interval that of all "
        "rows that could have been drawn; Brier and NLL (in nats) are means over the rows; 0 is "
        "best."
    )
    if not _fitted(found):
        return f"Nothing was scaled. {explained}"
    joint = bool(result.student.members or result.golden_head)
    together = " T belongs to what all of them predict together." if joint else ""
    mine = ", ".join(
        f"{one.value:.4g}" if one.label is None else f"{one.label} {one.value:.4g}"
        for one in found.student.temperatures
    )
    return (
        f"Before → after the logits are divided by T, which was fitted on "
        f"{found.validation_rows:,} validation rows and changes no prediction. {explained} "
        f"This student's T: {mine}. `distill_runner.load(RUN_FOLDER).predict_proba` divides by "
        "it; the code above does not, so divide the logits before the softmax or the sigmoids."
        f"{together}"
    )


def _shown(result: RunResult) -> Calibration | None:
    """Return what the terminal shows; None if there is nothing to say."""
    found = result.calibration
    if found is None or "test" not in found.student.splits or at_chance(result.student):
        return None
    return found


def _fitted(found: Calibration) -> bool:
    return any(model.fitted for model in found.models.values())


def _cells(model: ModelCalibration, split: str) -> list[str]:
    """Return T, ECE, Brier score and likelihood as a table shows them."""
    judged = model.splits[split]
    pairs = [[f"{100 * scores.ece.value:.2f}" for scores in _both(judged)]]
    pairs += [[f"{scores.brier.value:.3f}" for scores in _both(judged)]]
    pairs += [[f"{scores.nll.value:.3f}" for scores in _both(judged)]]
    error, brier, nll = (" → ".join(pair) for pair in pairs)
    return [_temperature(model), error + _interval(_both(judged)[-1]), brier, nll]


def _both(judged: SplitCalibration) -> list[ProbabilityScores]:
    """Return the scores before scaling and, if anything was fitted, after it."""
    return [judged.before] if judged.after is None else [judged.before, judged.after]


def _interval(scores: ProbabilityScores) -> str:
    error = scores.ece
    if error.low is None or error.high is None:
        return ""
    return f" [{100 * error.low:.1f}, {100 * error.high:.1f}]"


def _temperature(model: ModelCalibration) -> str:
    """Return T, or the range of the labels' temperatures."""
    fitted = [one.value for one in model.temperatures if one.not_fitted is None]
    if not fitted:
        return "–"
    ends = dict.fromkeys(f"{end:.2f}" for end in (min(fitted), max(fitted)))
    return "–".join(ends)


def _missing_lines(found: Calibration) -> list[str]:
    """Say which models have no temperature, or not for every label, and why."""
    models: dict[str, list[str]] = {}
    for name, model in found.models.items():
        missing = [one for one in model.temperatures if one.not_fitted is not None]
        if missing:
            whose, why = name, str(missing[0].not_fitted)
            if missing[0].label is not None:
                whose = f"{len(missing)} of {len(model.temperatures)} labels of {name}"
                more = f" and {len(missing) - 1} more" if missing[1:] else ""
                why = f"{why} ({missing[0].label}{more})"
            models.setdefault(why, []).append(whose)
    everybody = [*found.models]
    return [
        f"No T for {'any model' if names == everybody else join_names(names)}: {why}."
        for why, names in models.items()
    ]


def _change_lines(judged: SplitCalibration) -> list[str]:
    """Say whether scaling made the student's probabilities better on the rows that judge it."""
    change = judged.nll_change
    if change is None or change.low is None or change.high is None:
        return []
    verdict = "not significant"
    if change.high < 0:
        verdict = "better"
    elif change.low > 0:
        verdict = "worse, and calibrated=False omits T"
    return [
        f"The student's NLL changes by {change.value:+.3f} [{change.low:+.3f}, "
        f"{change.high:+.3f}] (95% interval, paired): {verdict}."
    ]


def _exact_lines(judged: SplitCalibration) -> list[str]:
    """Say how large the ECE of exact probabilities would be, if that is much of the student's."""
    scores = _both(judged)[-1]
    if scores.ece_if_exact < _MUCH * scores.ece.value:
        return []
    return [
        "No sample has an ECE of 0: if the student's probabilities were exact, it would be about "
        f"{100 * scores.ece_if_exact:.1f} here."
    ]
