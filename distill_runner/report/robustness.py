"""What a run's models score under noise: a table for the terminal, and one for the model card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table


def robustness_table(result: Mapping[str, Any]) -> Table | None:
    """A row for each noise, a column for each model; None where nothing was measured."""
    found = result["robustness"]
    if found is None:
        return None
    table = Table(
        title=f"Under noise: accuracy in % on {found['rows']:,} test rows, the same text for all; "
        "differences in points",
        title_justify="left",
        title_style="bold",
        header_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
    )
    head, *rows = _cells(found)
    for at, title in enumerate(head):
        last = found["against"] is not None and at == len(head) - 1
        table.add_column(
            title, justify="left" if at == 0 else "right", no_wrap=last, overflow="fold"
        )
    for row in rows:
        table.add_row(*row)
    return table


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
    against = found["against"]
    lead = [] if against is None else [f"student − {against.split()[0]} [95%]"]
    rows = [["noise", "p", *found["models"], *lead]]
    for score in found["scores"]:
        accuracies = [f"{100 * score['accuracy'][name]:.2f}" for name in found["models"]]
        difference = score["difference"]
        shown = [] if difference is None else [_points(difference)]
        rows.append([score["noise"], f"{score['p']:g}", *accuracies, *shown])
    return rows


def _points(difference: Mapping[str, float]) -> str:
    low, high = 100 * difference["low"], 100 * difference["high"]
    return f"{100 * difference['accuracy']:+.2f} [{low:+.2f}, {high:+.2f}]"
