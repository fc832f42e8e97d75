"""The columns that a prediction adds to a table: label, probabilities, confidence, logits."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from distill_runner.config.schema import TaskKind
from distill_runner.data.readers.label_sets import written_set
from distill_runner.errors import Refused
from distill_runner.evaluation.text_counts import TextCounts
from distill_runner.serving.student import Predictor, Reading

if TYPE_CHECKING:
    import pyarrow as pa

Value = str | float | list[str] | None  # None: the row has no text
PREFIX = "predicted_"  # of our columns in a file that has one of their names


@dataclass(frozen=True)
class AddedColumn:
    """A column that is added.

    Args:
        name: its heading.
        values: of the rows in order.
    """

    name: str
    values: Sequence[Value]

    def cells(self) -> list[str]:
        """Return the values as cells of a delimited file; a number has seven digits."""
        return [_cell(value) for value in self.values]

    def json(self) -> list[str]:
        """Return `"name": value` for each row, as in a JSON object."""
        name = json.dumps(self.name, ensure_ascii=False)
        return [f"{name}: {_json(value)}" for value in self.values]

    def arrow(self, kind: type) -> pa.Array:
        """Return the values, of type `kind`, as an Arrow array; numbers are not rounded."""
        import pyarrow as pa

        kinds = {str: pa.string(), float: pa.float64(), list: pa.list_(pa.string())}
        return pa.array(self.values, kinds[kind])


class AnswerColumns:
    """Makes the added columns of a predictor's answers.

    Args:
        predictor: whose answers they are.
        raw: add the logits, and leave probabilities uncalibrated.
        prefix: of every column's name.
        by: add a column with who answered, as in a cascade.

    Raises:
        Refused: `raw` of a regression, whose score is its logit.
    """

    def __init__(
        self, predictor: Predictor, *, raw: bool = False, prefix: str = "", by: bool = False
    ) -> None:
        self._predictor = predictor
        self._by = by
        self._raw = raw
        self._prefix = prefix
        self._kind = predictor.task.rules.kind
        if raw and self._kind is TaskKind.regression:
            raise Refused(
                "A score has no logits.",
                key="--raw",
                value=True,
                rule="--raw adds the logits of classes or labels",
                way_out="leave it out",
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, in order."""
        nothing = np.zeros((0, len(self._predictor.classes)), dtype=np.float32)
        return tuple(column.name for column in self.make(Reading(nothing, TextCounts()), []))

    @property
    def types(self) -> dict[str, type]:
        """The type of each column's values, by name."""
        one = np.zeros((1, len(self._predictor.classes)), dtype=np.float32)
        read = Reading(one, TextCounts(), answered_by=("",))
        return {column.name: type(column.values[0]) for column in self.make(read, [True])}

    def make(self, reading: Reading, answered: Sequence[bool]) -> list[AddedColumn]:
        """Return the columns of some rows.

        Args:
            reading: of the answered rows.
            answered: whether each row has an answer; the others get no value. [rows].
        """

        def column(name: str, values: Sequence[Value]) -> AddedColumn:
            following = iter(values)
            spread = [next(following) if has else None for has in answered]
            return AddedColumn(f"{self._prefix}{name}", spread)

        predictor, logits = self._predictor, reading.logits
        labels = predictor.task.predict(logits, predictor.classes)
        if self._kind is TaskKind.regression:
            return [column("score", labels)]
        found = predictor.probabilities(logits, calibrated=not self._raw)
        one_class = self._kind is TaskKind.classification
        columns = [column("label" if one_class else "labels", labels)]
        if one_class:
            columns.append(column("confidence", found.max(axis=1).tolist()))
        if self._by:
            columns.append(column("answered_by", reading.answered_by or ()))
        for shown, values in (("probability", found), ("logit", logits if self._raw else None)):
            if values is not None:
                columns += [
                    column(f"{shown}_{name}", each.tolist())
                    for name, each in zip(predictor.classes, values.T, strict=True)
                ]
        return columns


def choose_prefix(
    names_of: Callable[[str], Collection[str]], columns: Collection[str], asked: str | None
) -> str:
    """Return the prefix of the added columns: none, or `PREFIX` if a name is taken.

    Args:
        names_of: returns the names of the added columns under a prefix.
        columns: of the file.
        asked: the prefix that was asked for; None: choose.

    Raises:
        Refused: a name is taken all the same.
    """
    if asked is None and not set(names_of("")) & set(columns):
        return ""
    prefix = PREFIX if asked is None else asked
    check_free(names_of(prefix), columns)
    return prefix


def check_free(added: Collection[str], columns: Collection[str]) -> None:
    """Refuse rows that have a column of the same name as an added one.

    Raises:
        Refused: they do.
    """
    if taken := sorted(set(added) & set(columns)):
        raise Refused(
            f"The file has a column {taken[0][:60]!r} already.",
            key="--prefix",
            value=None,
            rule="added columns have other names than those of the file",
            way_out="--prefix my_, or another prefix",
        )


def _cell(value: Value) -> str:
    if isinstance(value, float):
        return f"{value:.7g}"
    if isinstance(value, list):
        return written_set(value)
    return value or ""


def _json(value: Value) -> str:
    if isinstance(value, float):
        return f"{value:.7g}"
    return json.dumps(value, ensure_ascii=False)
