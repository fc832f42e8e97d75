"""What a student saves, and what it keeps: a table for the terminal, a line for the model card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distill_runner.console.names import counted
from distill_runner.report.fitted import Fitted, Row


def latency_table(result: Mapping[str, Any]) -> Fitted | None:
    """A row for each model; None where nothing was measured."""
    found = result["latency"]
    if found is None:
        return None
    columns = ["model", "parameters", "ms a text", "texts/s"]
    rows = [
        Row(
            [
                name,
                f"{model['parameters']:,}",
                f"{model['milliseconds']:.2f}",
                f"{model['texts_per_second']:.0f}",
            ]
        )
        for name, model in found["models"].items()
    ]
    threads = counted(found["threads"], "thread")
    title = f"Speed on {found['device']}, {threads}, texts of the test rows"
    return Fitted(title, columns, rows, names=("model",))


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
