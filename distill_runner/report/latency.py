"""What a student saves, and what it keeps: a table for the terminal, a line for the model card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from distill_runner.report.tables import table_of


def latency_table(result: Mapping[str, Any]) -> Table | None:
    """A row for each model; None where nothing was measured."""
    found = result["latency"]
    if found is None:
        return None
    table = table_of(
        f"Speed on {found['device']}, {found['threads']} thread(s), texts of the test rows",
        "model",
        "parameters",
        "ms a text",
        "texts/s",
    )
    for name, model in found["models"].items():
        table.add_row(
            name,
            f"{model['parameters']:,}",
            f"{model['milliseconds']:.2f}",
            f"{model['texts_per_second']:.0f}",
        )
    return table


def latency_line(result: Mapping[str, Any]) -> str | None:
    """The student beside its first teacher: size, time and score."""
    found = result["latency"]
    if found is None or found["against"] is None:
        return None
    beside = found["against"]
    kept = beside["kept"]
    score = f" and keeps {100 * kept:.1f}% of its {result['headline']} on test" if kept else ""
    return (
        f"Beside {beside['name']} the student has {100 * beside['fewer_parameters']:.1f}% fewer "
        f"parameters, answers one text {beside['times_as_fast']:.2f} times as fast "
        f"({100 * beside['less_time']:.1f}% less time){score}."
    )
