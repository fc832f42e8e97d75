"""Rebuilds the tables of README and docs from the records, or trains a record's runs again.

    scripts/reproduce                                  every table and picture
    scripts/reproduce NAME --train [KEY=VALUE …]       all runs of outputs/records/NAME
    scripts/reproduce NAME/RUN --train [KEY=VALUE …]   one of them

A record names your files by their SHA-256, so KEY=VALUE says where they lie; `paths.models=FOLDER`
and the like may be added. A run that was trained again is compared with its record byte by byte.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import picture
import tables

from distill_runner.errors import DistillError, Refused
from distill_runner.evaluation.predictions_file import FOLDER, PACKED
from distill_runner.report.records import WEIGHTS, record
from distill_runner.results.files import RESULT, read_result
from distill_runner.results.schema import RunResult

REPRODUCED = tables.ROOT / "outputs" / "reproduced"
_BY_CONTENT = "=sha256:"


def main(argv: Sequence[str]) -> int:
    """Run the tool; return 0 if all is equal, 1 if something differs, 2 if it is refused."""
    parser = argparse.ArgumentParser(prog="scripts/reproduce", description=__doc__.split("\n")[0])
    parser.add_argument("record", nargs="?", metavar="NAME", help="a folder of outputs/records")
    parser.add_argument("--train", nargs="*", metavar="KEY=VALUE", help="train its runs again")
    asked = parser.parse_args(argv)
    try:
        if asked.record is None and asked.train is None:
            return rebuild()
        return _train_all(asked.record, asked.train)
    except DistillError as error:
        print(f"reproduce: {error}", file=sys.stderr)
        return error.exit_status


def rebuild() -> int:
    """Write every table and picture; say which of them were not those of the records."""
    stale = []
    for page in tables.PAGES:
        before = page.read_text(encoding="utf-8")
        after = tables.with_tables(before)
        if after != before:
            page.write_text(after, encoding="utf-8")
            stale.append(page)
    if picture.TARGET.read_text(encoding="utf-8") != picture.picture():
        picture.TARGET.write_text(picture.picture(), encoding="utf-8")
        stale.append(picture.TARGET)
    for path in stale:
        print(f"{path.relative_to(tables.ROOT)}: rewritten")
    print(f"{len(tables.TABLES)} tables and a picture are those of the records.")
    return 1 if stale else 0


def _train_all(name: str | None, given: Sequence[str] | None) -> int:
    if name is None or given is None:
        raise Refused(
            "A record is trained again by its name and --train.",
            key="NAME",
            value=name,
            rule="a folder of outputs/records",
            way_out="scripts/reproduce NAME --train",
        )
    folder = tables.RECORDS / name
    runs = (
        [folder] if (folder / RESULT).is_file() else [p.parent for p in folder.glob(f"*/{RESULT}")]
    )
    if not runs:
        known = sorted({path.parent.parent.name for path in tables.RECORDS.glob(f"*/*/{RESULT}")})
        raise Refused("No run is recorded there.", key="NAME", value=name, rule=", ".join(known))
    return max([_train(run, given) for run in sorted(runs)])


def _train(kept: Path, given: Sequence[str]) -> int:
    """Train one run again, and print whether it equals its record."""
    result = read_result(kept)
    target = REPRODUCED / kept.relative_to(tables.RECORDS)
    folders = [f"store.dir='{REPRODUCED / 'store'}'", f"output_dir='{target}'"]
    command = [sys.executable, "-m", "distill_runner", *_overrides(result, given), *folders]
    if subprocess.run(command, check=False).returncode != 0:
        raise DistillError(f"{kept.name} did not finish.")
    with tempfile.TemporaryDirectory() as folder:
        again = Path(folder)
        made = record(target, again)
        differing = _differing(kept, again)
    count = len(_compared(kept))
    if not differing:
        print(f"{kept.name}: {count} files of predictions, and the weights, are equal to the byte")
        return 0
    print(f"{kept.name}: {', '.join(differing)} differ")
    ours, theirs = made.provenance.instruction_set, result.provenance.instruction_set
    if ours != theirs:
        print(f"  this processor computes with {ours}, the record's did with {theirs}")
    return 1


def _overrides(result: RunResult, given: Sequence[str]) -> list[str]:
    """Return the record's overrides, with the user's paths in place of digests."""
    known = {item.partition("=")[0] for item in given}
    kept = [item for item in result.overrides if item.partition("=")[0] not in known]
    for item in kept:
        if _BY_CONTENT in item:
            key, _, digest = item.partition("=")
            raise Refused(
                "The record names a file or folder of yours by its content.",
                key=key,
                value=digest,
                rule="where it lies",
                way_out=f"--train {key}=PATH",
            )
    return [*kept, *given]


def _compared(folder: Path) -> list[str]:
    packed = sorted((folder / FOLDER).rglob(f"*.csv{PACKED}"))
    return [str(path.relative_to(folder)) for path in packed]


def _differing(kept: Path, again: Path) -> list[str]:
    names = [*_compared(kept), WEIGHTS]
    differing = [name for name in names if _content(kept / name) != _content(again / name)]
    if _overrides_of(kept) != _overrides_of(again):
        differing.append("the content of your files")
    return differing


def _content(path: Path) -> bytes | None:
    """Return what a file holds, uncompressed; None if it is missing."""
    if not path.is_file():
        return None
    return gzip.decompress(path.read_bytes()) if path.suffix == PACKED else path.read_bytes()


def _overrides_of(folder: Path) -> list[str]:
    found = json.loads((folder / RESULT).read_text("utf-8"))["overrides"]
    return sorted(item for item in found if _BY_CONTENT in item)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
