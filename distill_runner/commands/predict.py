"""The verb `predict`: a file's rows with the student's answers beside them."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from distill_runner.errors import DistillError, Refused

if TYPE_CHECKING:
    from distill_runner.serving.file_predictions import Predicted, Request
    from distill_runner.serving.finished_run import RunFolder


def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    file: Annotated[
        str, typer.Argument(metavar="FILE|-", help="csv, tsv, jsonl or parquet; - reads stdin.")
    ],
    text: Annotated[
        list[str] | None,
        typer.Option(metavar="COL", help="Text column; twice for pairs. [the run's columns]"),
    ] = None,
    output: Annotated[
        str, typer.Option(metavar="NAME", help="Output file, in any of the formats; - is stdout.")
    ] = "-",
    raw: Annotated[
        bool, typer.Option("--raw", help="Add logits; leave probabilities uncalibrated.")
    ] = False,
    format: Annotated[
        str | None,
        typer.Option(metavar="FORMAT", help="csv, tsv, jsonl or parquet. [by the file's name]"),
    ] = None,
    prefix: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Put before the names of the new columns."),
    ] = None,
    cascade: Annotated[
        bool, typer.Option("--cascade", help="Ask the teachers where the student is not sure.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Label the rows of a file.

    Writes them with the student's label and the probabilities beside them. An interrupted csv,
    tsv or jsonl output goes on when the same command is repeated.
    """
    from distill_runner.serving.file_predictions import Request
    from distill_runner.serving.finished_run import read_run

    if cascade and raw:
        raise Refused(
            "A cascade has no logits of one model.",
            key="--raw",
            value=True,
            rule="left out with --cascade",
            way_out="--raw without --cascade",
        )
    found = read_run(run)
    request = Request(file, tuple(text or ()), output, raw, format, prefix, cascade)
    _report(found, _predict(found, request, device))


def _predict(run: RunFolder, request: Request, device: str) -> Predicted:
    from distill_runner.console.row_progress import RowProgress
    from distill_runner.serving.cascade_student import CascadeStudent
    from distill_runner.serving.file_predictions import FilePredictions
    from distill_runner.serving.student import Student, find_device

    try:
        job = FilePredictions(run, request)
        student = Student(run, find_device(device))
        predictor = CascadeStudent(run, student) if request.cascade else student
        with RowProgress("predicting") as progress:
            return job.predict(predictor, progress.show)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise DistillError(
            f"{error.filename or request.output} cannot be written: {error.strerror or error}.\n"
            "  rows that were written are kept; the same command goes on after them"
        ) from error


def _report(run: RunFolder, predicted: Predicted) -> None:
    """Print what was done, and the next command; on standard error beside a piped output."""
    from distill_runner.console.printable import escape_controls, wrap_lines
    from distill_runner.serving.prediction_report import report_lines

    out = sys.stderr if predicted.output is None else sys.stdout
    for line in report_lines(predicted, run.result):
        print(wrap_lines(escape_controls(line), shutil.get_terminal_size().columns), file=out)
    if predicted.output is not None:
        print(f"Written: {escape_controls(str(predicted.output))}", file=out)
    columns = [word for name in predicted.texts for word in ("--text", name)]
    if predicted.source.is_pipe:
        print("A file can be predicted in several attempts:", file=out)
        words = ["predict", str(run.folder), "FILE", *columns, "--output", "NAME.csv"]
    else:
        print("For a server without torch:", file=out)
        words = ["export", str(run.folder)]
    print(f"  {escape_controls(shlex.join(['distill', *words]))}", file=out)
