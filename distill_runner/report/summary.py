"""The figures of a run that a tracker keeps beside its curves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distill_runner.evaluation.robustness import STUDENT
from distill_runner.report.at_chance import at_chance
from distill_runner.report.columns import gain_or_difference

Summary = dict[str, float | str]


def tracker_summary(result: Mapping[str, Any], *, seconds: float | None, folder: Path) -> Summary:
    """Scores on every split, gains, sizes and speed, by the names that a tracker shows.

    Args:
        seconds: that the run took, where they are known.
        folder: of the run.
    """
    teachers = ", ".join(teacher["name"] for teacher in result["teachers"])
    summary: Summary = {
        "status": result["status"],
        "student/name": result["student"]["name"],
        **({"teachers/names": teachers} if teachers else {}),
        **_scores("", result["metrics"], result),
        **_beside_baseline(result),
        **_of_teachers(result),
        **_measured(result),
        "student/parameters": result["student"]["parameters"],
        "student/no_better_than_chance": float(at_chance(result["student"])),
        "training/examples_per_second": result["training"]["examples_per_second"],
    }
    if result["published"]:
        summary["published/accuracy"] = result["published"]["accuracy"] / 100
    if seconds is not None:
        summary["seconds"] = seconds
    return {**summary, "run_folder": str(folder.absolute())}


def _scores(prefix: str, metrics: Mapping[str, Any], result: Mapping[str, Any]) -> Summary:
    """Every metric on every split; the headline with its interval."""
    headline, found = result["headline"], {}
    for split, score in metrics.items():
        for metric in dict.fromkeys((headline, *result["scored_by"])):
            if score and score.get(metric) is not None:
                found[f"{prefix}{split}/{metric}"] = score[metric]
        if score:
            found |= _interval(f"{prefix}{split}/{headline}", score)
    return found


def _interval(name: str, score: Mapping[str, Any]) -> Summary:
    return {f"{name}_{end}": score[end] for end in ("low", "high") if end in score}


def _beside_baseline(result: Mapping[str, Any]) -> Summary:
    """The student without a teacher, and the lead over it in every metric."""
    baseline, headline = result["baseline"], result["headline"]
    if not baseline:
        return {}
    theirs = _scores("", baseline["metrics"], result)
    found: Summary = {f"baseline/{name}": value for name, value in theirs.items()}
    found["baseline/no_better_than_chance"] = float(at_chance(baseline))
    lead = gain_or_difference([result])
    for split, gain in baseline["gain"].items():
        for metric in dict.fromkeys((headline, *result["scored_by"])):
            ours, without = result["metrics"][split].get(metric), theirs.get(f"{split}/{metric}")
            if ours is not None and without is not None:
                found[f"{lead}/{split}/{metric}"] = ours - float(without)
        found |= _interval(f"{lead}/{split}/{headline}", gain)
    return found


def _of_teachers(result: Mapping[str, Any]) -> Summary:
    found: Summary = {}
    for teacher in result["teachers"]:
        found |= _scores(f"teacher/{teacher['name']}/", teacher["metrics"], result)
    if result["together"]:
        found |= _scores("teachers/", result["together"]["metrics"], result)
    return found


def _measured(result: Mapping[str, Any]) -> Summary:
    """Accuracy under noise, and speed."""
    found: Summary = {}
    for score in result["robustness"]["scores"] if result["robustness"] else ():
        accuracy = score["accuracy"][STUDENT]
        found[f"robustness/{score['noise']}-{score['p']:g}/accuracy"] = accuracy
    for name, model in result["latency"]["models"].items() if result["latency"] else ():
        found[f"latency/{name}/milliseconds"] = model["milliseconds"]
    return found
