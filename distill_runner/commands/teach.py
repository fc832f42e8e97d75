"""The verb `teach`: a model's answers to a file's texts, as a file that teaches."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from distill_runner.errors import DistillError

if TYPE_CHECKING:
    from distill_runner.results.schema import RunResult
    from distill_runner.serving.teach import Request, Taught

# What the next command has words of its own for, or does not repeat.
_REPLACED = ("teacher", "method", "experiment", "pretrain", "dataset.unlabelled", "noise")
_OF_THAT_RUN = ("seed", "output_dir", "force", "dry_run", "tune")


def teach(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    file: Annotated[str, typer.Argument(metavar="FILE", help="csv, tsv, jsonl or parquet.")],
    text: Annotated[
        list[str] | None,
        typer.Option(metavar="COL", help="Text column; twice for pairs. [the run's columns]"),
    ] = None,
    output: Annotated[
        Path, typer.Option(metavar="NAME", help="The file of answers, in JSON lines.")
    ] = Path("answers.jsonl"),
    teacher: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="One of the run's teachers. [its student]"),
    ] = None,
    store: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Store of the run's teachers. [the run's]")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Write a model's answers to texts, for another student to learn.

    The file holds the digest of each different text, and the student's logits. It teaches as
    teacher=file.
    """
    from distill_runner.console.row_progress import RowProgress
    from distill_runner.serving.file_predictions import choose_columns
    from distill_runner.serving.student import load
    from distill_runner.serving.teach import Request
    from distill_runner.serving.teach import teach as answer

    student = load(run, device=device, store=store)
    request = Request(file, choose_columns(student.result, tuple(text or ())), output, teacher)
    try:
        with RowProgress("answering") as progress:
            taught = answer(student, request, progress.show)
    except OSError as error:
        raise DistillError(
            f"{error.filename or output} cannot be written: {error.strerror or error}."
        ) from error
    _report(request, taught, student.result)


def _report(request: Request, taught: Taught, result: RunResult) -> None:
    """Print what was written, and a command that learns from it."""
    from distill_runner.console.names import format_count
    from distill_runner.console.printable import escape_controls, wrap_lines

    who = result.student.name if request.teacher is None else f"teacher {request.teacher}"
    counts = [
        format_count(taught.answers, "answer"),
        *([f"{taught.repeated:,} rows repeat a text"] if taught.repeated else []),
        *([f"{taught.without_text:,} rows have none"] if taught.without_text else []),
    ]
    width = shutil.get_terminal_size().columns
    for line in (
        f"{', '.join(counts)}; by {who}.",
        f"Written: {request.output}",
        "Teach another student, with as few or as many labels as there are:",
    ):
        print(wrap_lines(escape_controls(line), width))
    print(f"  {escape_controls(shlex.join(_next_command(request, result)))}")


def _next_command(request: Request, result: RunResult) -> list[str]:
    """Return a command on the run's data that learns the texts from these answers."""
    kept = [word for word in result.overrides if _is_kept(word)]
    files = [
        *("method=kd", "teacher=file", f"teacher.path={request.output}"),
        f"dataset.unlabelled.path={request.file}",
    ]
    if request.texts != result.data.texts:
        named = request.texts[0] if len(request.texts) == 1 else f"[{','.join(request.texts)}]"
        files.append(f"dataset.unlabelled.text={named}")
    return ["distill-run", *kept, *files, "teacher.missing=drop"]


def _is_kept(override: str) -> bool:
    key = override.partition("=")[0].lstrip("+~")
    return key not in _OF_THAT_RUN and not any(
        key == name or key.startswith((f"{name}.", f"{name}@", f"{name}/")) for name in _REPLACED
    )
