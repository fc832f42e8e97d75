"""Evidence behind a published number: what may be committed of a run folder.

    python -m distill_runner.report.records outputs/records/NAME RUN_FOLDER [RUN_FOLDER …]

It also writes NAME/README.md, a table of all the records in that folder.
Ids and figures only: never the text of a data set, never weights, no path of a machine.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from distill_runner.errors import DistillError
from distill_runner.report.at_chance import both_at_chance
from distill_runner.report.columns import Column, columns_of, gain_or_difference, headline, shown
from distill_runner.report.sweeps import seed_rows, shared

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
    if "test" not in result["metrics"]:
        raise DistillError(f"{run} was scored on no test rows")
    result["overrides"] = [item for item in result["overrides"] if not _is_local(item)]
    elsewhere = (result.get("pretrain") or {}).get("teachers", ())
    for model in (
        result["student"],
        *result["teachers"],
        *result.get("between", ()),
        *result.get("trained_teachers", ()),
        *elsewhere,
    ):
        model["model"] = _without_folder(model["model"])
    _without_folders(result.get("provenance"))
    for name in _COPIED:
        if (run / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(run / name, target / name)
    text = json.dumps(result, indent=2) + "\n"
    (target / "result.json").write_text(text, encoding="utf-8")
    return result


def _is_local(override: str) -> bool:
    value = override.partition("=")[2].lstrip("[")
    return override.startswith(_LOCAL) or value.startswith(("/", "~", "."))


def _without_folders(provenance: dict[str, Any] | None) -> None:
    if provenance is None:
        return
    models = provenance["models"]
    provenance["models"] = {_without_folder(name): found for name, found in models.items()}
    for data in provenance["data"].values():
        if data.get("path"):
            data["path"] = _without_folder(data["path"])


def _without_folder(model: str) -> str:
    """A hub id as it is; of a folder on one machine, its name."""
    return Path(model).name if model.startswith(("/", "~", ".")) else model


def write_table(target: Path) -> None:
    """Write the table of every record below `target`, one row a run, and one over seeds."""
    found = {
        path.parent.name: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(target.glob("*/result.json"))
    }
    own, common = columns_of(list(found.values())), shared(list(found.items()))
    lead = gain_or_difference(found.values())
    head = ["run", "asked for", "test", "95%", "no teacher", f"{lead} [95%, rows]"]
    head += [name for column in own for name in (column, "no teacher")]
    lines = [f"Every run: `{' '.join(common)}`", "", *_heading(*head, "examples/s", "device")]
    lines += [_row(name, result, common, list(own.values())) for name, result in found.items()]
    over_seeds = seed_rows(list(found.items()))
    if over_seeds:
        lines += ["", "Over seeds, with Student's interval:", "", *_heading(*over_seeds[0])]
        lines += [_line(*row.values()) for row in over_seeds]
    (target / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _heading(*cells: str) -> list[str]:
    return [_line(*cells), "|" + len(cells) * "---|"]


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _row(name: str, found: dict[str, Any], common: list[str], own: list[Column]) -> str:
    test, baseline, training = found["metrics"]["test"], found["baseline"], found["training"]
    without, gain, figure = "–", "–", headline(found)
    if baseline:
        difference = baseline["gain"]["test"]
        without = f"{100 * baseline['metrics']['test'][figure]:.2f}"
        gain = (
            f"{100 * difference[figure]:+.2f} "
            f"[{100 * difference['low']:+.2f}, {100 * difference['high']:+.2f}]"
        ) + (" (both at chance)" if both_at_chance(found) else "")
    theirs = baseline["metrics"] if baseline else {}
    asked = " ".join(item for item in found["overrides"] if item not in common)
    return _line(
        f"[{name}]({name}/result.json)",
        f"`{asked}`" if asked else "–",
        f"{100 * test[figure]:.2f}",
        f"{100 * test['low']:.1f}–{100 * test['high']:.1f}",
        without,
        gain,
        *(shown(metrics, column) for column in own for metrics in (found["metrics"], theirs)),
        f"{training['examples_per_second']:.0f}",
        f"{training['device']}, {training['precision']}",
    )


def main() -> None:
    """Record the run folders named on the command line."""
    if len(sys.argv) < 3:
        sys.exit("usage: python -m distill_runner.report.records TARGET RUN_FOLDER …")
    target = Path(sys.argv[1])
    try:
        for name in sys.argv[2:]:
            run = Path(name)
            found = record(run, target / run.name)
            print(f"{run.name}: test {100 * found['metrics']['test'][headline(found)]:.2f}")
        write_table(target)
    except DistillError as error:
        sys.exit(f"records: {error}")


if __name__ == "__main__":
    main()
