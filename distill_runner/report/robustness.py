"""What a run's models score under noise: a table for the terminal, and one for the model card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distill_runner.report.fitted import Fitted, Row


def robustness_table(result: Mapping[str, Any]) -> Fitted | None:
    """A row for each noise, a column for each model; None where nothing was measured."""
    found = result["robustness"]
    if found is None:
        return None
    (_, _, *titles), *rows = _cells(found)
    return Fitted(
        f"Under noise: accuracy in % on {found['rows']:,} test rows, the same text for all; "
        "differences in points",
        ["noise, p", *titles],
        [Row([f"{noise} {p}", *figures]) for noise, p, *figures in rows],
        names=("noise, p",),
    )


def robustness_lines(result: Mapping[str, Any]) -> list[str]:
    """The section of the model card; empty where nothing was measured."""
    found = result["robustness"]
    if found is None:
        return []
    head, *rows = _cells(found)
    lines = [" | ".join(cells) for cells in (head, ["---"] * len(head), *rows)]
    paired = " The difference is in points, its 95% interval paired over the rows."
    return [
        "## Under noise",
        "",
        f"Accuracy in % on the {found['rows']:,} test rows, each word hit with probability p; "
        f"every model reads the same text.{paired if found['against'] else ''}",
        "",
        *(f"| {line} |" for line in lines),
        "",
    ]


def _cells(found: Mapping[str, Any]) -> list[list[str]]:
    """The titles, then a row for the clean text and one for each noise."""
    against, models = found["against"], found["models"]
    # A sole teacher needs no name.
    titles = [
        "teacher" if name == against and name != "teachers together" else name for name in models
    ]
    lead = [] if against is None else [f"student − {against.split()[0]} [95%]"]
    rows = [["noise", "p", *titles, *lead]]
    for score in found["scores"]:
        accuracies = [f"{100 * score['accuracy'][name]:.2f}" for name in models]
        difference = score["difference"]
        shown = [] if difference is None else [_points(difference)]
        rows.append([score["noise"], f"{score['p']:g}", *accuracies, *shown])
    return rows


def _points(difference: Mapping[str, float]) -> str:
    low, high = 100 * difference["low"], 100 * difference["high"]
    return f"{100 * difference['difference']:+.2f} [{low:+.2f}, {high:+.2f}]"
