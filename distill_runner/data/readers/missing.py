"""Refuses rows without a text or a label, or leaves them out and counts them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from distill_runner.config import schema
from distill_runner.data.readers.places import Places
from distill_runner.errors import Refused

if TYPE_CHECKING:
    from datasets import Dataset

_BATCH_ROWS = 10_000
_NAMED = 10
TEXT, LABEL = "without text", "without label"


@dataclass(frozen=True)
class Gaps:
    """The incomplete rows of one file, by what they lack.

    Args:
        places: the places of the file's rows.
        rows: the incomplete rows by what they lack; sorted, each row in one list only.
        note: a note about words that were read as missing labels.
    """

    places: Places
    rows: Mapping[str, Sequence[int]]
    note: str = ""

    @property
    def counts(self) -> dict[str, int]:
        """The number of incomplete rows by reason."""
        return {reason: len(rows) for reason, rows in self.rows.items() if rows}

    def kept(self, numbers: Iterable[int]) -> list[int]:
        """Return the complete rows among `numbers`."""
        gone = {row for rows in self.rows.values() for row in rows}
        return [row for row in numbers if row not in gone]


def without_text(table: Dataset, names: Sequence[str]) -> list[int]:
    """Return the rows in which a text column is empty or blank."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found, start = [], 0
    for batch in table.with_format("arrow").iter(_BATCH_ROWS):
        empty = pa.array([False] * len(batch))
        for name in names:
            column = pc.cast(batch.column(name), pa.large_string()).combine_chunks()
            blank = pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(column)), 0)
            empty = pc.or_(empty, pc.fill_null(blank, True))
        found += [start + at for at, gone in enumerate(empty.to_pylist()) if gone]
        start += len(batch)
    return found


def check_none(settings: schema.Dataset, gaps: Sequence[Gaps]) -> None:
    """Refuse incomplete rows, unless `dataset.missing=drop`.

    Raises:
        Refused: there are incomplete rows; the first ones are named and all are counted.
    """
    count = sum(sum(one.counts.values()) for one in gaps)
    if not count or settings.missing is schema.Missing.drop:
        return
    named = [
        f"{place} ({reason})"
        for one in gaps
        for reason, rows in one.rows.items()
        for place in one.places.some(rows)
    ][:_NAMED]
    more = f" and {count - len(named):,} more" if count > len(named) else ""
    note = next((one.note for one in gaps if one.note), "")
    raise Refused(
        f"{count:,} row{'s lack' if count > 1 else ' lacks'} a text or a label: "
        f"{', '.join(named)}{more}.",
        key="dataset.missing",
        value="refuse",
        rule="a text and a label in every row",
        way_out=f"correct {'these rows' if count > 1 else 'this row'}, or dataset.missing=drop, "
        f"which leaves out and counts such rows{note}",
    )
