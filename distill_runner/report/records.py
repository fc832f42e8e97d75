"""Copies the files of a run that may be committed, as evidence for a published number.

    python -m distill_runner.report.records outputs/records/NAME RUN_FOLDER [RUN_FOLDER …]

It also writes NAME/README.md, a table of all the records in that folder.
A record holds row ids and figures, but no text of a data set, no weights and no local path.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from distill_runner.errors import DistillError
from distill_runner.evaluation.predictions_file import FOLDER, PACKED
from distill_runner.report.at_chance import both_at_chance
from distill_runner.report.columns import Column, cell, columns_of, gain_or_difference
from distill_runner.report.seed_table import seed_rows
from distill_runner.report.sweeps import shared_overrides
from distill_runner.results.files import RESULT, Attempt, Job, read_result
from distill_runner.results.origins import Provenance
from distill_runner.results.schema import (
    PretrainResult,
    PretrainTeacher,
    RunResult,
    TaughtTeacher,
    TrainedModel,
)
from distill_runner.results.typed_json import to_json

# Keys whose values name a place, and nothing that a figure depends on.
_PLACES = ("paths.", "store.", "output_dir")
_SPLITS = ("quiz", "train")  # the splits whose predictions no figure needs
WEIGHTS = "weights.json"  # SHA-256 of the student's files, by path

Model = TypeVar("Model", bound=TrainedModel | TaughtTeacher | PretrainTeacher)


def record(run: Path, target: Path) -> RunResult:
    """Copy the files of a finished run that may be committed, and return its result.

    Raises:
        DistillError: the folder holds no finished run, or one that is damaged or has no test rows.
    """
    result = _portable(read_result(run))
    if "test" not in result.metrics:
        raise DistillError(f"{run} was scored on no test rows")
    target.mkdir(parents=True, exist_ok=True)
    if (run / "metrics.jsonl").is_file():
        shutil.copyfile(run / "metrics.jsonl", target / "metrics.jsonl")
    for path in sorted((run / FOLDER).rglob("*.csv")):
        if path.stem not in _SPLITS:
            copy = target / path.relative_to(run)
            copy.parent.mkdir(parents=True, exist_ok=True)
            # Without a time stamp, so that a record made again is the same file.
            content = gzip.compress(path.read_bytes(), mtime=0)
            copy.with_name(f"{copy.name}{PACKED}").write_bytes(content)
    _write_json(target / RESULT, to_json(result))
    _write_json(target / WEIGHTS, weights_of(run / "student"))
    return result


def weights_of(student: Path) -> dict[str, str]:
    """Return the SHA-256 of each weights file of a student, by path."""
    return {
        str(path.relative_to(student)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(student.rglob("*.safetensors"))
    }


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def _portable(result: RunResult) -> RunResult:
    """Return a copy of the result without local paths."""
    return replace(
        result,
        overrides=tuple(
            written
            for item in result.overrides
            if (written := _portable_override(item, result)) is not None
        ),
        student=_with_portable_name(result.student),
        teachers=tuple(map(_with_portable_name, result.teachers)),
        between=tuple(map(_with_portable_name, result.between)),
        trained_teachers=tuple(map(_with_portable_name, result.trained_teachers)),
        pretrain=_pretrain_without_paths(result.pretrain),
        provenance=_provenance_without_paths(result.provenance),
    )


def _portable_override(override: str, result: RunResult) -> str | None:
    """Name a path by what it holds; None for a place that no figure depends on."""
    key, _, value = override.partition("=")
    if key.startswith(_PLACES):
        return None
    if not value.lstrip("['\"").startswith(("/", "~", ".")):
        return override
    provenance = result.provenance
    contents = [source.content for source in provenance.models.values()]
    if key == "teacher.path":
        contents = [one.answers.sha256 for one in result.teachers if one.answers is not None]
    if key.endswith(("dataset.path", "unlabelled.path")):
        data = provenance.data.get("pretrain" if key.startswith("pretrain.") else "task")
        contents = sorted(data.files.values()) if data else []
    digest = hashlib.sha256("".join(contents).encode()).hexdigest()
    return f"{key}=sha256:{digest[:12]}"


def _with_portable_name(model: Model) -> Model:
    return replace(model, model=_portable_name(model.model))


def _pretrain_without_paths(pretrain: PretrainResult | None) -> PretrainResult | None:
    if pretrain is None:
        return None
    return replace(pretrain, teachers=tuple(map(_with_portable_name, pretrain.teachers)))


def _provenance_without_paths(provenance: Provenance) -> Provenance:
    return replace(
        provenance,
        models={_portable_name(name): source for name, source in provenance.models.items()},
        data={
            name: replace(source, path=source.path and _portable_name(source.path))
            for name, source in provenance.data.items()
        },
    )


def _portable_name(model: str) -> str:
    """Keep a hub id; reduce a local path to its last part."""
    return Path(model).name if model.startswith(("/", "~", ".")) else model


def write_table(target: Path) -> None:
    """Write a table of all records below `target`, one row per run, and one over seeds.

    Raises:
        DistillError: a record is damaged.
    """
    folders = [path.parent for path in sorted(target.glob(f"*/{RESULT}"))]
    results = {folder.name: read_result(folder) for folder in folders}
    jobs = [
        Job(
            name=name,
            attempt=Attempt(status="finished", overrides=result.overrides),
            result=result,
            folder=target / name,
        )
        for name, result in results.items()
    ]
    own, common = columns_of(results.values()), shared_overrides(jobs)
    lead = gain_or_difference(results.values())
    head = ["run", "overrides", "test", "95%", "no teacher", f"{lead} [95%, rows]"]
    head += [name for column in own for name in (column, "no teacher")]
    lines = [f"Every run: `{' '.join(common)}`", "", *_heading(*head, "examples/s", "device")]
    lines += [_row(name, result, common, list(own.values())) for name, result in results.items()]
    over_seeds = seed_rows(jobs)
    if over_seeds:
        lines += ["", "Over seeds and clusters of rows:", "", *_heading(*over_seeds[0])]
        lines += [_line(*row.values()) for row in over_seeds]
    (target / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _heading(*cells: str) -> list[str]:
    return [_line(*cells), "|" + len(cells) * "---|"]


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _row(name: str, result: RunResult, common: list[str], own: list[Column]) -> str:
    test, baseline, training = result.metrics["test"], result.baseline, result.training
    without, gain = "–", "–"
    if baseline:
        found = baseline.gain["test"]
        without = f"{100 * baseline.metrics['test'].value:.2f}"
        gain = (
            f"{100 * found.difference:+.2f} [{100 * found.low:+.2f}, {100 * found.high:+.2f}]"
        ) + (" (both at chance)" if both_at_chance(result) else "")
    theirs = baseline.metrics if baseline else {}
    own_overrides = " ".join(item for item in result.overrides if item not in common)
    return _line(
        f"[{name}]({name}/{RESULT})",
        f"`{own_overrides}`" if own_overrides else "–",
        f"{100 * test.value:.2f}",
        f"{100 * test.low:.1f}–{100 * test.high:.1f}",
        without,
        gain,
        *(cell(scores, column) for column in own for scores in (result.metrics, theirs)),
        f"{training.examples_per_second:.0f}",
        f"{training.device}, {training.precision}",
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
            print(f"{run.name}: test {100 * found.metrics['test'].value:.2f}")
        write_table(target)
    except DistillError as error:
        sys.exit(f"records: {error}")


if __name__ == "__main__":
    main()
