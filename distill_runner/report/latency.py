"""Size and speed of the models: a table for the terminal, a line for the model card."""

from __future__ import annotations

from distill_runner.console.names import counted
from distill_runner.report.fitted import Fitted, Row
from distill_runner.results.schema import RunResult


def latency_table(result: RunResult) -> Fitted | None:
    """A row for each model; None where nothing was measured."""
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
    threads = counted(latency.threads, "thread")
    title = f"Speed on {latency.device}, {threads}, texts of the test rows"
    return Fitted(title, columns, rows, names=("model",))


def latency_line(result: RunResult) -> str | None:
    """The student beside its first teacher: size, time and score."""
    beside = result.latency.against if result.latency else None
    if beside is None:
        return None
    score = ""
    if beside.kept:
        score = f" and keeps {100 * beside.kept:.1f}% of its {result.primary_metric} on test"
    return (
        f"Beside {beside.name} the student has {100 * beside.fewer_parameters:.1f}% fewer "
        f"parameters, answers one text {beside.times_as_fast:.2f} times as fast "
        f"({100 * beside.less_time:.1f}% less time){score}."
    )
