"""Reports size and speed: a table for the terminal, and a line for the model card."""

from __future__ import annotations

from distill_runner.console.names import format_count
from distill_runner.report.fitted import Fitted, Row
from distill_runner.results.schema import RunResult


def latency_table(result: RunResult) -> Fitted | None:
    """Return a table with a row for each model; None if speed was not measured."""
    latency = result.latency
    if latency is None:
        return None
    columns = ["model", "parameters", "ms a text", "texts/s"]
    rows = [
        Row(
            [
                name,
                f"{model.parameters:,}",
                f"{model.milliseconds:.2f}",
                f"{model.texts_per_second:.0f}",
            ]
        )
        for name, model in latency.models.items()
    ]
    threads = format_count(latency.threads, "thread")
    title = f"Speed on {latency.device}, {threads}, texts of the test rows"
    return Fitted(title, columns, rows, names=("model",))


def latency_line(result: RunResult) -> str | None:
    """Compare the student with its first teacher: size, time and score; None if not measured."""
    compared = result.latency.against if result.latency else None
    if compared is None:
        return None
    score = ""
    if compared.kept:
        metric = f"{result.primary_metric} on test"
        score = f" and keeps {100 * compared.kept:.1f}% of the teacher's {metric}"
    return (
        f"Compared with {compared.name}, the student has {100 * compared.fewer_parameters:.1f}% "
        f"fewer parameters, processes one text {compared.times_as_fast:.2f} times as fast "
        f"({100 * compared.less_time:.1f}% less time){score}."
    )
