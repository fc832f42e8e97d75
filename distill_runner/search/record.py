"""The record of a search, search.json: its measurements, what it tested, the files it wrote.

It marks a folder as a search's. A later command in the same folder takes the measurements from it,
and counts what was tested before.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from distill_runner.errors import DistillError, Refused
from distill_runner.results.typed_json import Malformed, from_json, parse, to_json
from distill_runner.storage.store import write_json

RECORD, RUNS = "search.json", "runs"
TABLE, PICTURE, REPORT = "frontier.csv", "frontier.svg", "README.md"


@dataclass(frozen=True, kw_only=True)
class MeasuredCost:
    """What a form of a student needs to answer."""

    p50: Annotated[float, "milliseconds for one text on one thread, the median"]
    p95: Annotated[float, "the 95th percentile"]
    size: Annotated[int, "bytes of all files that answering needs"]


@dataclass(frozen=True, kw_only=True)
class SearchRecord:
    """The content of search.json."""

    program: Annotated[Literal["distill frontier"], "the program that the folder belongs to"] = (
        "distill frontier"
    )
    measured_for: Annotated[str, "hash of the points, the rows and the machine measured"] = ""
    costs: Annotated[Mapping[str, MeasuredCost], "by point"]
    tested: Annotated[tuple[str, ...], "points that were ever tested on the test rows"] = ()
    files: Annotated[
        Mapping[str, tuple[str, ...]],
        "SHA-256 of each file that a search wrote; two while the second replaces the first",
    ]


class SearchFolder:
    """The folder of a search; it replaces only what an earlier search wrote and nobody changed.

    Args:
        path: the folder.

    Raises:
        Refused: it holds something else, or a file in it has changed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record = _read(path)
        for name in (TABLE, PICTURE, REPORT):
            file, known = path / name, self.record.files.get(name, ())
            if file.is_file() and _digest(file.read_bytes()) not in known:
                raise _refused(path, f"{name} there is not as a search wrote it.")

    def run_folder(self, variant: str, rung: str) -> Path:
        """Return the folder of one training."""
        return self.path / RUNS / variant / rung

    def keep(self, record: SearchRecord) -> None:
        """Write the record."""
        self.record = record
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.path / RECORD, to_json(record))

    def write(self, name: str, content: str) -> None:
        """Write a file of the report, atomically; the record knows it before and after."""
        encoded, files = content.encode("utf-8"), self.record.files
        digest = _digest(encoded)
        self.keep(replace(self.record, files={**files, name: (*files.get(name, ()), digest)}))
        partial = self.path / f".{name}.partial"
        partial.write_bytes(encoded)
        os.replace(partial, self.path / name)
        self.keep(replace(self.record, files={**files, name: (digest,)}))


def _read(path: Path) -> SearchRecord:
    try:
        value = parse((path / RECORD).read_bytes())
        return from_json(SearchRecord, value)
    except (FileNotFoundError, NotADirectoryError):
        if not os.path.lexists(path) or (path.is_dir() and not any(path.iterdir())):
            return SearchRecord(costs={}, files={})
        raise _refused(path, f"{path} is no folder of a search.") from None
    except Malformed as malformed:
        raise DistillError(
            f"{path / RECORD} is damaged: {malformed}.\n  try:  output_dir=ANOTHER_FOLDER; what "
            "was trained is in the store"
        ) from malformed


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _refused(path: Path, what: str) -> Refused:
    return Refused(
        what,
        key="output_dir",
        value=str(path),
        rule="a folder that is new, empty, or holds only an unchanged earlier search",
        way_out="output_dir=ANOTHER_FOLDER, or move the file away",
    )
