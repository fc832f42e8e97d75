"""Writes what a run's model answers to a file's texts, as a file that teaches."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from distill_runner.data.texts import text_sha256
from distill_runner.errors import DistillError, Refused
from distill_runner.pipeline.task_data import RANGE_ROWS
from distill_runner.serving.file_predictions import choose_columns, find_texts
from distill_runner.serving.partial_output import check_target
from distill_runner.serving.student import Predictor, Student
from distill_runner.serving.table_reader import Source, open_source, read_chunks, survey
from distill_runner.serving.texts import Text

Show = Callable[[int, int | None], None]  # rows done; of how many


@dataclass(frozen=True)
class Request:
    """What to answer, and where to write it.

    Args:
        file: of texts.
        texts: the text columns; none: those of the run.
        output: the file of answers.
        teacher: one of the run's teachers by name; None: its student.
    """

    file: str
    texts: tuple[str, ...]
    output: Path
    teacher: str | None = None


@dataclass(frozen=True)
class Taught:
    """What was answered.

    Args:
        rows: read.
        answers: written: one for each different text.
        without_text: rows without a text, which have no answer.
    """

    rows: int
    answers: int
    without_text: int

    @property
    def repeated(self) -> int:
        """Rows whose text an earlier row has."""
        return self.rows - self.answers - self.without_text


def teach(student: Student, request: Request, show: Show) -> Taught:
    """Write the answers to a file's texts, each text once; the file appears when it is complete.

    Args:
        student: of a finished run.
        request: what to answer.
        show: receives the progress.

    Raises:
        Refused: the output exists, the file is malformed or lacks a column, or there is no such
            teacher.
    """
    check_target(request.output)
    source = open_source(request.file)
    if source.is_pipe:
        raise Refused(
            "Standard input can be read only once, and a teacher's texts are learnt later.",
            key="FILE",
            value=request.file,
            rule="a csv, tsv, jsonl or parquet file",
        )
    columns = choose_columns(student.result, request.texts)
    total = survey(source, columns).rows
    model = student if request.teacher is None else _find_teacher(student, request.teacher)
    texts = _Texts(source, columns)
    answers = 0
    with _open_new(request.output) as file:
        file.write(_line({"classes": list(student.classes), "made_by": "distill teach"}))
        for chunk in texts.ranges():
            for text, logits in zip(chunk, _logits(model, chunk), strict=True):
                file.write(_answer(text, logits))
            answers += len(chunk)
            show(texts.rows, total)
        if not answers:
            raise Refused(
                f"{source.name} has no text to answer.",
                key="--text",
                value=" ".join(columns),
                rule="a column with texts",
            )
    return Taught(rows=texts.rows, answers=answers, without_text=texts.without_text)


def _find_teacher(student: Student, name: str) -> Predictor:
    """Return a teacher of the run; refusals speak of the command's options."""
    try:
        return student.teacher(name)
    except Refused as refused:
        known = refused.key == "teacher"
        raise Refused(
            refused.what,
            key="--teacher" if known else "--store",
            value=refused.value,
            rule=refused.rule,
            way_out="the same without --teacher, whose answers are the student's"
            if known
            else "--store FOLDER, or the run's command again",
        ) from refused


class _Texts:
    """The different texts of a file.

    Attributes:
        rows: read so far.
        without_text: rows among them without a text.
    """

    def __init__(self, source: Source, columns: Sequence[str]) -> None:
        self.rows = 0
        self.without_text = 0
        self._source = source
        self._columns = columns

    def ranges(self) -> Iterator[list[Text]]:
        """Yield the texts in ranges of `RANGE_ROWS`.

        A run computes its teachers' logits on texts without labels in the same ranges. The last
        digits may depend on which texts share a batch, so these answers are equal to the digit.
        """
        found: list[Text] = []
        for text in self._different():
            found.append(text)
            if len(found) == RANGE_ROWS:
                yield found
                found = []
        if found:
            yield found

    def _different(self) -> Iterator[Text]:
        seen: set[bytes] = set()
        for rows in read_chunks(self._source):
            texts, answered = find_texts(rows, self._columns)
            self.rows += len(rows)
            self.without_text += answered.count(False)
            for text in texts:
                digest = bytes.fromhex(_digest(text))
                if digest not in seen:
                    seen.add(digest)
                    yield text


def _logits(model: Predictor, texts: Sequence[Text]) -> np.ndarray:
    logits = model.logits(texts).astype(np.float32)
    if not np.isfinite(logits).all():
        raise DistillError("The model's logits are not finite: it cannot teach.")
    return logits


def _answer(text: Text, logits: np.ndarray) -> str:
    numbers = ", ".join(map(exact_number, logits))
    return f'{{"text_sha256": "{_digest(text)}", "logits": [{numbers}]}}\n'


def _digest(text: Text) -> str:
    return text_sha256([text] if isinstance(text, str) else text)


def exact_number(value: np.float32) -> str:
    """Return the shortest decimal that reads back as this float32, also by way of a float64."""
    short = str(value)
    return short if np.float32(float(short)) == value else repr(float(value))


def _line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"


@contextmanager
def _open_new(target: Path) -> Iterator[IO[str]]:
    """Yield a file that gets its name when the block ends without an error; nothing is replaced."""
    number, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent)
    partial = Path(name)
    try:
        with os.fdopen(number, "w", encoding="utf-8", newline="\n") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.chmod(0o666 & ~_umask())
        check_target(target)
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
