"""The figures of a run that a tracker keeps beside its curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distill_runner.report.at_chance import at_chance
from distill_runner.report.columns import columns_of, figure, gain_or_difference
from distill_runner.robustness import STUDENT


def tracker_summary(result: Mapping[str, Any]) -> dict[str, float | str]:
    """Scores on every split, gains, sizes and speed, by the names that a tracker shows."""
    summary: dict[str, float | str] = {"status": result["status"]}
    headline = result["headline"]
    for split, found in result["metrics"].items():
        if found:
            summary[f"{split}/{headline}"] = found[headline]
    for split, metric in columns_of([result]).values():
        value = figure(result["metrics"], (split, metric))
        if value is not None:
            summary[f"{split}/{metric}"] = value / 100
    baseline = result["baseline"]
    summary["student/no_better_than_chance"] = float(at_chance(result["student"]))
    if baseline:
        summary["baseline/no_better_than_chance"] = float(at_chance(baseline))
        for split, gain in baseline["gain"].items():
            summary[f"baseline/{split}/{headline}"] = baseline["metrics"][split][headline]
            summary[f"{gain_or_difference([result])}/{split}/{headline}"] = gain[headline]
    for score in result["robustness"]["scores"] if result["robustness"] else ():
        accuracy = score["accuracy"][STUDENT]
        summary[f"robustness/{score['noise']}-{score['p']:g}/accuracy"] = accuracy
    for name, model in result["latency"]["models"].items() if result["latency"] else ():
        summary[f"latency/{name}/milliseconds"] = model["milliseconds"]
    summary["student/parameters"] = result["student"]["parameters"]
    summary["training/examples_per_second"] = result["training"]["examples_per_second"]
    return summary
