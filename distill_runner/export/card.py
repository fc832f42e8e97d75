"""Writes the README.md of an export: a model card with the table of its files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from distill_runner.console.printable import on_one_line
from distill_runner.export.description import DESCRIPTION, OPSET
from distill_runner.export.measured import (
    CutFigures,
    Form,
    cut_lines,
    figures,
    markdown_table,
    measured_how,
)
from distill_runner.report.card_data import card_data
from distill_runner.results.schema import RunResult

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

_TASK = "text-classification"


def export_card(
    result: RunResult, forms: Sequence[Form], rows: int, cut: CutFigures | None, *, script: str
) -> str:
    """Write the card as Markdown.

    Args:
        result: the run's.
        forms: the student first, then every exported form.
        rows: how many validation rows they were compared on.
        cut: of the vocabulary; None if it is whole.
        script: name of the script that answers texts.
    """
    data = card_data(result)
    if any(_is_onnx(form) for form in forms):
        data.library_name = "onnx"
    evaluated = list(_evaluated(result, forms, rows))
    data.eval_results = evaluated
    data.metrics = sorted({one.metric_type for one in evaluated})
    data.model_name = on_one_line(f"{result.student.name}, {result.method}, exported")
    name = on_one_line(f"{result.student.name}, {result.method} on {result.dataset}")
    lines = [
        f"# {name}, exported",
        "",
        *markdown_table(figures(result, forms)),
        "",
        *measured_how(rows),
        "",
        *_tested(result),
        *([*(line.strip() for line in cut_lines(cut)), ""] if cut else []),
        *_files(forms),
        "",
        *_asking(forms, script, library=str(data.library_name)),
    ]
    return f"---\n{data.to_yaml()}\n---\n\n" + "\n".join(lines)


def _tested(result: RunResult) -> list[str]:
    """Say what the student itself scored on the test rows, if there are any."""
    score = result.metrics.get("test")
    if score is None:
        return []
    return [
        f"The student in torch has {score.primary_metric} {100 * score.value:.2f} "
        f"[{100 * score.low:.2f}, {100 * score.high:.2f}] on {score.n:,} test rows.",
        "",
    ]


def _is_onnx(form: Form) -> bool:
    return form.file is not None and form.file.endswith(".onnx")


def _files(forms: Sequence[Form]) -> list[str]:
    lines = [f"- `{form.file}`: the column {form.name}" for form in forms if form.file is not None]
    return [
        "torch is the student in the run folder; the columns are these files and folders:",
        "",
        *lines,
        "",
        f"The ONNX files have operators of opset {OPSET} and take batches of any size. "
        f"`{DESCRIPTION}` says how texts become their inputs.",
    ]


def _asking(forms: Sequence[Form], script: str, *, library: str) -> list[str]:
    onnx = [form.file for form in forms if _is_onnx(form)]
    if not onnx:
        return [f"`{library}` loads the folder `cut`.", ""]
    return [
        "onnxruntime, tokenizers and numpy suffice to ask them:",
        "",
        "```bash",
        f'python {script} --model {onnx[-1]} "a text"',
        "```",
        "",
    ]


def _evaluated(result: RunResult, forms: Sequence[Form], rows: int) -> Iterator[EvalResult]:
    """Yield the score of every exported form on the validation rows, as shares of 1."""
    from huggingface_hub import EvalResult

    data = result.data
    for form in forms:
        if form.file is None:
            continue
        yield EvalResult(
            task_type=_TASK,
            dataset_type=data.hub or result.dataset,
            dataset_name=result.dataset,
            dataset_config=data.subset if data.hub else None,
            dataset_split="validation",
            dataset_args={"fingerprint": data.fingerprints["validation"]},
            metric_type=result.primary_metric,
            metric_name=f"{result.primary_metric} of {form.file}",
            metric_value=form.check.score,
            metric_args={
                "rows": rows,
                "minus_torch_interval_95": [form.check.lead.low, form.check.lead.high],
            },
        )
