"""Evidence behind a published number: what may be committed of a run folder.

    python -m distill_runner.report.records outputs/records/NAME RUN_FOLDER [RUN_FOLDER …]

Ids and figures only: never the text of a data set, never weights, no path of a machine.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from distill_runner.errors import DistillError

# Keys that say where things lie on one machine, and decide nothing.
_LOCAL = ("paths.", "store.dir", "output_dir", "dataset.path")
_COPIED = ("metrics.jsonl", "predictions/test.csv", "predictions/validation.csv")


def record(run: Path, target: Path) -> dict[str, Any]:
    """Copy what may be kept of one finished run, and return its result.

    Raises:
        DistillError: the folder holds no finished run.
    """
    source = run / "result.json"
    if not source.is_file():
        raise DistillError(f"{run} holds no result.json; name the folder of a finished run")
    result: dict[str, Any] = json.loads(source.read_text(encoding="utf-8"))
    if result["status"] != "finished":
        raise DistillError(f"{run} did not finish: its status is {result['status']}")
    asked = [item for item in result["overrides"] if not item.startswith(_LOCAL)]
    result["overrides"] = asked
    for name in _COPIED:
        if (run / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(run / name, target / name)
    text = json.dumps(result, indent=2) + "\n"
    (target / "result.json").write_text(text, encoding="utf-8")
    return result


def main() -> None:
    """Record the run folders named on the command line."""
    if len(sys.argv) < 3:
        sys.exit("usage: python -m distill_runner.report.records TARGET RUN_FOLDER …")
    target = Path(sys.argv[1])
    try:
        for name in sys.argv[2:]:
            run = Path(name)
            found = record(run, target / run.name)
            print(f"{run.name}: test {100 * found['metrics']['test']['accuracy']:.2f}")
    except DistillError as error:
        sys.exit(f"records: {error}")


if __name__ == "__main__":
    main()
