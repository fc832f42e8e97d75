"""Collects the figures of a run that a tracker keeps in addition to its curves."""

from __future__ import annotations

from pathlib import Path

from distill_runner.evaluation.robustness import STUDENT
from distill_runner.report.at_chance import at_chance
from distill_runner.report.columns import gain_or_difference
from distill_runner.results.calibration import ProbabilityScores
from distill_runner.results.schema import RunResult
from distill_runner.results.scores import Difference, Score, Scores

Summary = dict[str, float | str]


def tracker_summary(result: RunResult, *, seconds: float | None, folder: Path) -> Summary:
    """Collect scores on every split, gains, sizes and speed, by the names that a tracker shows.

    Args:
        result: of the finished run.
        seconds: wall-clock time of the run, if known.
        folder: the run folder.
    """
    teachers = ", ".join(teacher.name for teacher in result.teachers)
    summary: Summary = {
        "status": result.status,
        "student/name": result.student.name,
        **({"teachers/names": teachers} if teachers else {}),
        **_scores("", result.metrics),
        **_baseline_and_gain(result),
        **_teachers(result),
        **_measurements(result),
        "student/parameters": result.student.parameters,
        "student/no_better_than_chance": float(at_chance(result.student)),
        "training/examples_per_second": result.training.examples_per_second,
    }
    if result.published:
        summary["published/accuracy"] = result.published.accuracy / 100
    if seconds is not None:
        summary["seconds"] = seconds
    return {**summary, "run_folder": str(folder.absolute())}


def _scores(prefix: str, scores: Scores) -> Summary:
    """Return every metric on every split; the primary metric has its interval."""
    found: Summary = {}
    for split, score in scores.items():
        found |= {f"{prefix}{split}/{metric}": value for metric, value in score.metrics.items()}
        found |= _interval(f"{prefix}{split}/{score.primary_metric}", score)
    return found


def _interval(name: str, found: Score | Difference) -> Summary:
    return {f"{name}_low": found.low, f"{name}_high": found.high}


def _baseline_and_gain(result: RunResult) -> Summary:
    """Return the baseline's scores, and the student's lead over it in every metric."""
    baseline = result.baseline
    if baseline is None:
        return {}
    found = _scores("baseline/", baseline.metrics)
    found["baseline/no_better_than_chance"] = float(at_chance(baseline))
    lead = gain_or_difference([result])
    for split, gain in baseline.gain.items():
        ours, theirs = result.metrics[split].metrics, baseline.metrics[split].metrics
        for metric in ours:
            found[f"{lead}/{split}/{metric}"] = ours[metric] - theirs[metric]
        found |= _interval(f"{lead}/{split}/{result.primary_metric}", gain)
    return found


def _teachers(result: RunResult) -> Summary:
    found: Summary = {}
    for teacher in result.teachers:
        found |= _scores(f"teacher/{teacher.name}/", teacher.metrics)
    if result.together:
        found |= _scores("teachers/", result.together.metrics)
    return found


def _probabilities(prefix: str, scores: ProbabilityScores | None) -> Summary:
    if scores is None:
        return {}
    measures = {"ece": scores.ece, "brier": scores.brier, "nll": scores.nll}
    return {f"{prefix}/{name}": measure.value for name, measure in measures.items()}


def _measurements(result: RunResult) -> Summary:
    """Return calibration, accuracy under noise, and speed."""
    found: Summary = {}
    for name, calibrated in result.calibration.models.items() if result.calibration else ():
        for split, judged in calibrated.splits.items():
            found |= _probabilities(f"calibration/{name}/{split}/before", judged.before)
            found |= _probabilities(f"calibration/{name}/{split}/after", judged.after)
    for score in result.robustness.scores if result.robustness else ():
        found[f"robustness/{score.noise}-{score.p:g}/accuracy"] = score.accuracy[STUDENT]
    for name, model in result.latency.models.items() if result.latency else ():
        found[f"latency/{name}/milliseconds"] = model.milliseconds
    return found
