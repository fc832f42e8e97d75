"""Maps rows to the file and the line that they were read from."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path

from distill_runner.config import schema
from distill_runner.data.readers import delimited
from distill_runner.data.readers.json_records import records

_NAMED = 10  # rows that a message names; further ones are counted


class Places:
    """The rows of one file, or of its shards one after another, counted from 0.

    A line's number is found by reading the file again, as only refusals need it.
    """

    def __init__(self, settings: schema.Dataset, paths: tuple[Path, ...]) -> None:
        self.file = paths[0].name
        self._settings = settings
        self._paths = paths

    def of(self, row: int) -> str:
        """Return the place of a row, such as "'reviews.csv', line 7"."""
        return next(islice(self._all(), row, None))

    def some(self, rows: Collection[int]) -> list[str]:
        """Return the places of the first few rows."""
        wanted = sorted(rows)[:_NAMED]
        last = wanted[-1] + 1 if wanted else 0
        return [place for row, place in enumerate(islice(self._all(), last)) if row in wanted]

    def _all(self) -> Iterator[str]:
        for path in self._paths:
            for place in _within(self._settings, path):
                yield f"'{path.name}', {place}"


def _within(settings: schema.Dataset, path: Path) -> Iterator[str]:
    kind = path.suffix.lower()
    if kind == ".parquet":
        import pyarrow.parquet as pq

        return (f"row {n + 1}" for n in range(pq.read_metadata(path).num_rows))
    if kind in (".csv", ".tsv"):
        return (f"line {line}" for line in delimited.lines(settings, path))
    return (record.where for record in records(settings, path))
