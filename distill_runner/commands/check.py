"""The verb `check`: what is in a labelled file, before anything is trained."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from distill_runner.config.schema import TaskKind
from distill_runner.errors import Refused

if TYPE_CHECKING:
    from distill_runner.data.encoding import Encoder
    from distill_runner.serving.data_check import Checked
    from distill_runner.serving.finished_run import RunFolder
    from distill_runner.serving.labelled_rows import Columns
    from distill_runner.serving.table_reader import Source

_MAX_TOKENS = 128  # `dataset.max_tokens`
_METRICS = {
    TaskKind.regression: "dataset.metrics=[pearson,spearman]",
    TaskKind.multi_label: "dataset.metrics=[micro_f1,macro_f1]",
}


_Texts = Annotated[
    list[str] | None, typer.Option(metavar="COL", help="Text column; twice for pairs. [text]")
]
_Label = Annotated[
    str | None, typer.Option(metavar="COL", help="Label column. [label, if there is one]")
]
_Test = Annotated[
    str | None, typer.Option(metavar="FILE2", help="File whose texts should not be in FILE.")
]
_Model = Annotated[
    str | None, typer.Option(metavar="MODEL", help="Count its tokens: a folder or hub id.")
]
_Teacher = Annotated[
    Path | None, typer.Option(metavar="RUN", help="List the labels that it finds unlikely.")
]
_Task = Annotated[TaskKind | None, typer.Option(help="What the labels are. [classification]")]
_Limit = Annotated[int | None, typer.Option(min=8, help="Longer texts are cut. [128]")]
_Format = Annotated[
    str | None,
    typer.Option(metavar="FORMAT", help="csv, tsv, jsonl or parquet. [by the file's name]"),
]


def check(
    file: Annotated[str, typer.Argument(metavar="FILE", help="csv, tsv, jsonl or parquet.")],
    text: _Texts = None,
    label: _Label = None,
    test: _Test = None,
    model: _Model = None,
    teacher: _Teacher = None,
    top: Annotated[int, typer.Option(min=1, help="How many of them.")] = 10,
    task: _Task = None,
    max_tokens: _Limit = None,
    format: _Format = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda; for --teacher.")] = "auto",
) -> None:
    """Look at a labelled file before training.

    Counts classes, doubles, texts with two labels, and texts that are empty, too long, or also in
    a test file. With --teacher, what is not typed is taken from the run: columns, task, limit,
    tokenizer.
    """
    from distill_runner.serving.check_report import check_lines
    from distill_runner.serving.data_check import check_file
    from distill_runner.serving.finished_run import read_run
    from distill_runner.serving.table_reader import open_source

    run = None if teacher is None else read_run(teacher)
    limit = max_tokens or (_MAX_TOKENS if run is None else run.result.data.max_tokens)
    source = _open_file(file, format)
    columns = _columns(source, tuple(text or ()), label, task, run)
    checked = check_file(
        source,
        columns,
        test=None if test is None else open_source(test),
        encoder=_encoder(model, run, limit),
        max_tokens=limit,
    )
    _print(check_lines(checked, source, columns, limit))
    if run is not None:
        _judge(run, source, columns, top=top, device=device)
    _print_next(file, columns, checked)


def _open_file(file: str, format: str | None) -> Source:
    """Open FILE, which is read several times.

    Raises:
        Refused: it is standard input, or no file of a known format.
    """
    from distill_runner.serving.table_reader import STDIN, open_source

    if file == STDIN:
        raise Refused(
            "Standard input can be read only once.",
            key="FILE",
            value=file,
            rule="a file: a check reads it several times",
            way_out="save it first",
        )
    return open_source(file, format=format)


def _columns(
    source: Source,
    texts: tuple[str, ...],
    label: str | None,
    task: TaskKind | None,
    run: RunFolder | None,
) -> Columns:
    """Return the columns: as typed, as the run has them, or by their usual names."""
    from distill_runner.serving.labelled_rows import Columns
    from distill_runner.serving.table_reader import column_names

    if run is not None:
        texts = texts or run.result.data.texts
        task = task or TaskKind(run.result.data.task)
    if label is None:
        usual = (run.label if run is not None else None) or "label"
        label = usual if usual in column_names(source) else None
    return Columns(texts or ("text",), label, task or TaskKind.classification)


def _encoder(model: str | None, run: RunFolder | None, max_tokens: int) -> Encoder | None:
    """Return the tokenizer of --model, or of the run's student."""
    if model is None and run is None:
        return None
    from distill_runner.hub.locate import locate_model
    from distill_runner.models.loading import load_encoder

    if model is not None:
        folder = locate_model(model, models_dir=None, key="--model", weights=False)
    else:
        assert run is not None
        folder = run.student_folders[0]
    return load_encoder(folder, max_tokens, key="--model")


def _judge(run: RunFolder, source: Source, columns: Columns, *, top: int, device: str) -> None:
    """Print the rows whose label the run's teacher finds least likely."""
    from distill_runner.console.row_progress import RowProgress
    from distill_runner.serving.check_report import judged_lines
    from distill_runner.serving.doubtful_labels import find_judge, judge_rows
    from distill_runner.serving.student import Student, find_device
    from distill_runner.serving.trained_texts import find_trained_texts

    if columns.label is None:
        raise Refused(
            f"{source.name} has no column of labels that a teacher could doubt.",
            key="--label",
            value=None,
            rule="a column of the file",
            way_out="name it, or leave --teacher out",
        )
    predictor, by = find_judge(Student(run, find_device(device)))
    with RowProgress("asking the teacher") as progress:
        judged = judge_rows(
            source,
            columns,
            predictor,
            by=by,
            trained=find_trained_texts(run),
            top=top,
            show=progress.show,
        )
    _print(["", *judged_lines(judged)])


def _print(lines: Iterable[str]) -> None:
    from distill_runner.console.printable import escape_controls, wrap_lines

    for line in lines:
        print(wrap_lines(escape_controls(line), shutil.get_terminal_size().columns))


def _print_next(file: str, columns: Columns, checked: Checked) -> None:
    """Print the command to type next: the plan of a training, or a check with labels."""
    from distill_runner.console.printable import escape_controls

    names = columns.texts
    if columns.label is None:
        words = ["distill", "check", file, *(w for one in names for w in ("--text", one))]
        what, words = "Name the column of labels:", [*words, "--label", "COLUMN"]
    else:
        text = names[0] if len(names) == 1 else f"[{','.join(names)}]"
        words = ["distill-run", "method=kd", "teacher=bert", "dataset=files"]
        words += [f"dataset.path={file}", f"dataset.text={text}", f"dataset.label={columns.label}"]
        if columns.task is not TaskKind.classification:
            words += [f"dataset.task={columns.task.value}", _METRICS[columns.task]]
        words += ["dataset.missing=drop"] if checked.without_text + checked.without_label else []
        what, words = "Plan a training:", [*words, "dry_run=true"]
    print(f"\n{what}\n  {escape_controls(shlex.join(words))}")
