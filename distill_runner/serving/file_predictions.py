"""Predicts the rows of a file in constant memory, and writes them with the answers beside them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from distill_runner.errors import DistillError, Refused
from distill_runner.results.schema import RunResult
from distill_runner.serving.answers import AnswerColumns, check_free, choose_prefix
from distill_runner.serving.finished_run import RunFolder
from distill_runner.serving.partial_output import MadeFrom, Tally, check_target, open_output
from distill_runner.serving.student import Predictor
from distill_runner.serving.table_reader import (
    STDIN,
    Source,
    check_columns,
    first_chunk,
    format_of,
    open_source,
    read_chunks,
    survey,
)
from distill_runner.serving.table_rows import Rows
from distill_runner.serving.table_writer import LineWriter, ParquetWriter, TableWriter
from distill_runner.serving.texts import Text

Show = Callable[[int, int | None], None]  # rows done; of how many, None: unknown


@dataclass(frozen=True)
class Request:
    """What to predict, and where to write it.

    Args:
        file: a file, or `-` for standard input.
        texts: the text columns; none: those of the run.
        output: a file, or `-` for standard output.
        raw: add logits, and leave probabilities uncalibrated.
        format: of the input; None: by its name.
        prefix: of the added columns; None: chosen if a name is taken.
        cascade: ask the teachers where the student is not sure.
    """

    file: str
    texts: tuple[str, ...] = ()
    output: str = STDIN
    raw: bool = False
    format: str | None = None
    prefix: str | None = None
    cascade: bool = False


@dataclass(frozen=True)
class Predicted:
    """What was predicted.

    Args:
        tally: of all rows.
        continued: rows among them that an earlier attempt wrote.
        seconds: that reading, predicting and writing the others took.
        texts: the text columns.
        added: the names of the added columns.
        prefix: of the added columns.
        source: what was read.
        output: the file, or None for standard output.
    """

    tally: Tally
    continued: int
    seconds: float
    texts: tuple[str, ...]
    added: tuple[str, ...]
    prefix: str
    source: Source
    output: Path | None


@dataclass(frozen=True)
class _Table:
    """The input, opened."""

    source: Source
    names: tuple[str, ...]
    rows: int | None
    sha256: str
    chunks: Callable[[int], Iterator[Rows]]  # from a row on


class FilePredictions:
    """Predicts one file.

    Everything that can be refused is refused before the model is loaded, except rows of standard
    input.

    Args:
        run: whose student predicts.
        request: what to predict.
    """

    def __init__(self, run: RunFolder, request: Request) -> None:
        self._request = request
        source = open_source(request.file, format=request.format)
        self._output = None if request.output == STDIN else Path(request.output)
        self._format = format_of(self._output) if self._output else _to_standard(source.format)
        if self._output is not None:
            check_target(self._output)
        self._run = run
        self._stamp = _stamp(source)
        self._texts = choose_columns(run.result, request.texts)
        self._table = _open_table(source, self._texts)

    def predict(self, student: Predictor, show: Show) -> Predicted:
        """Predict all rows, and write them.

        Args:
            student: of the run, or its cascade.
            show: receives the progress.

        Raises:
            Refused: the output cannot be continued; a name of an added column is taken.
            DistillError: the input changed while it was read.
        """
        table, raw = self._table, self._request.raw

        def columns(prefix: str) -> AnswerColumns:
            return AnswerColumns(student, raw=raw, prefix=prefix, by=self._request.cascade)

        prefix = choose_prefix(lambda one: columns(one).names, table.names, self._request.prefix)
        answers = columns(prefix)
        with self._open_writer(answers, student) as (writer, before, commit):
            tally, began = before, time.monotonic()
            show(tally.rows, table.rows)
            for rows in table.chunks(before.rows):
                tally += self._answer(rows, student, answers, writer)
                commit(tally)
                show(tally.rows, table.rows)
            writer.finish()
            self._check_unchanged(tally)
        return Predicted(
            tally=tally,
            continued=before.rows,
            seconds=time.monotonic() - began,
            texts=self._texts,
            added=answers.names,
            prefix=prefix,
            source=table.source,
            output=self._output,
        )

    def _answer(
        self, rows: Rows, student: Predictor, answers: AnswerColumns, writer: TableWriter
    ) -> Tally:
        """Predict and write some rows."""
        check_free(answers.names, rows.columns)
        texts, answered = find_texts(rows, self._texts)
        reading = student.read(texts)
        writer.write(rows, answers.make(reading, answered))
        return Tally(rows=len(rows), without_text=len(rows) - len(texts), counts=reading.counts)

    @contextmanager
    def _open_writer(
        self, answers: AnswerColumns, student: Predictor
    ) -> Iterator[tuple[TableWriter, Tally, Callable[[Tally], None]]]:
        """Yield the writer, what is already written, and what makes more of it certain."""
        names = self._table.names
        if self._output is None:
            sink = sys.stdout.buffer
            yield LineWriter(sink, self._format, names, answers.names), Tally(), _flush
            return
        with open_output(self._output, self._made_from(answers, student)) as output:
            if self._format == "parquet":
                yield ParquetWriter(output.path, names, answers.types), Tally(), _keep
                return
            before, begun = output.tally, output.tally.rows > 0
            writer = LineWriter(output, self._format, names, answers.names, begun=begun)
            yield writer, before, output.commit

    def _made_from(self, answers: AnswerColumns, student: Predictor) -> MadeFrom:
        request = self._request
        return MadeFrom(
            input=self._table.sha256,
            student=self._run.student_digest,
            options={
                "--text": " ".join(self._texts),
                "--raw": str(request.raw).lower(),
                "--format": self._table.source.format,
                "--device": student.device.type,
                "--cascade": str(student.threshold),
                "columns": " ".join(answers.names),
            },
        )

    def _check_unchanged(self, tally: Tally) -> None:
        if _stamp(self._table.source) != self._stamp:
            raise DistillError(
                f"{self._table.source.name} changed while it was read, after {tally.rows:,} "
                "rows at the latest.\n  begin again with another --output"
            )


def _open_table(source: Source, texts: Sequence[str]) -> _Table:
    """Open the input; a file is read once from start to end, so that a fault is known at once.

    Raises:
        Refused: a row is malformed, or there is no such text column.
    """
    if source.is_pipe:
        names, chunks = first_chunk(read_chunks(source))
        check_columns(source, texts, names)
        return _Table(source, names, None, "", lambda skip: chunks)  # noqa: ARG005
    found = survey(source, texts)
    again = partial(read_chunks, source)
    return _Table(source, found.names, found.rows, found.sha256, lambda skip: again(skip=skip))


def choose_columns(result: RunResult, typed: tuple[str, ...]) -> tuple[str, ...]:
    """Return the text columns.

    Raises:
        Refused: there are too many or too few.
    """
    trained = result.data.texts
    if typed and len(typed) != len(trained):
        needed = "one text column" if len(trained) == 1 else "two text columns, in order"
        raise Refused(
            f"The student reads {needed}: it was trained on {' and '.join(trained)}.",
            key="--text",
            value=" ".join(typed),
            rule=needed,
            way_out=" ".join(f"--text {name}" for name in trained),
        )
    return typed or trained


def find_texts(rows: Rows, names: Sequence[str]) -> tuple[list[Text], list[bool]]:
    """Return the texts of the rows that have one, and which rows these are. [rows]."""
    columns = [rows.texts(name) for name in names]
    texts: list[Text] = []
    answered = []
    for cells in zip(*columns, strict=True):
        found = [cell for cell in cells if cell is not None and cell.strip()]
        answered.append(len(found) == len(names))
        if answered[-1]:
            texts.append(found[0] if len(names) == 1 else (found[0], found[1]))
    return texts, answered


def _to_standard(format: str) -> str:
    """Return the format of standard output: the input's if it is text, else csv."""
    return "csv" if format == "parquet" else format


def _stamp(source: Source) -> tuple[int, int] | None:
    if source.is_pipe:
        return None
    found = os.stat(source.path)
    return found.st_size, found.st_mtime_ns


def _flush(tally: Tally) -> None:  # noqa: ARG001
    sys.stdout.buffer.flush()


def _keep(tally: Tally) -> None:
    """Make nothing certain: a parquet file that lacks its end cannot be read."""
