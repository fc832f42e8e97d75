"""Tests whether a setting costs accuracy: whole runs with and without it, paired by seed.

Both sides of a pair share the seed, the rows and all other settings. If the setting affects the
teachers too, each side trains its own, unless `--set teacher.models=…` names trained ones. Both
are scored on the same rows, which neither trained on. Finished runs stay in the store, so an
interrupted benchmark resumes.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.children import environment
from benchmarks.options import Options
from benchmarks.record import Report
from distill_runner.errors import DistillError
from distill_runner.evaluation.metrics.estimate import Estimate
from distill_runner.report.over_seeds import lead_over_seeds
from distill_runner.results.files import read_result
from distill_runner.results.measurements import Training
from distill_runner.results.typed_json import to_json

# The largest acceptable loss in points of accuracy, at the lower end of the interval.
MARGIN = 0.3
# A short training that suits pre-trained weights; --set changes it.
_TRAINING = ("training.epochs=3", "training.learning_rate=5e-5")


@dataclass(frozen=True)
class Side:
    """One run of a pair: its accuracy on the test rows, and what it was trained on."""

    accuracy: float  # 0..1
    rows: int  # test rows
    trained_on: int  # rows
    training: Training
    key: str


def run(options: Options, say: Callable[[str], None]) -> Report:
    """Run every seed with and without the setting."""
    sides = {"lever": options.lever, "reference": options.reference}
    pairs: dict[str, dict[str, Side]] = {}
    for seed in options.seeds:
        pair = pairs[str(seed)] = {
            side: _trained(options, side, seed, asked) for side, asked in sides.items()
        }
        say(f"seed {seed}: {', '.join(f'{side} {_percent(one)}' for side, one in pair.items())}")
    differences = [
        100 * (pair["lever"].accuracy - pair["reference"].accuracy) for pair in pairs.values()
    ]
    means = (100 * np.mean([pair[side].accuracy for pair in pairs.values()]) for side in sides)
    return Report(
        title=f"{options.method}: accuracy in % with a lever and without",
        columns=("", *(" ".join(asked) or "unchanged" for asked in sides.values()), "difference"),
        rows=[
            *(
                [f"seed {seed}", *(_percent(pair[side]) for side in sides), f"{difference:+.2f}"]
                for (seed, pair), difference in zip(pairs.items(), differences, strict=True)
            ),
            ["mean", *(f"{value:.2f}" for value in means), f"{np.mean(differences):+.2f}"],
        ],
        notes=(
            verdict(_difference(options)),
            _scored(pairs),
            *(["bfloat16 is emulated: float32 products, rounded."] * options.emulate_bfloat16),
        ),
        found={"raw": to_json(pairs), "differences": differences},
    )


def _trained(options: Options, side: str, seed: int, asked: tuple[str, ...]) -> Side:
    """Run distill-run in its own process, and return the test scores of its result."""
    folder = options.folder / "runs" / f"{side}-{seed}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    printed = folder.with_name(f"{folder.name}.txt")
    runner = "benchmarks.rounded" if options.emulate_bfloat16 else "distill_runner.cli"
    command = [sys.executable, "-P", "-m", runner, *overrides(options, seed, asked)]
    with printed.open("w", encoding="utf-8") as screen:
        done = subprocess.run(
            [*command, f"output_dir='{folder}'"],
            stdout=screen,
            stderr=subprocess.STDOUT,
            env=environment(options.threads),
            check=False,
        )
    if done.returncode != 0:
        said = printed.read_text(encoding="utf-8").strip().splitlines()
        raise DistillError("\n  ".join([f"The run in {folder} failed:", *said[-6:]]))
    result = read_result(folder)
    test = result.metrics["test"]
    return Side(
        accuracy=test["accuracy"],
        rows=test.n,
        trained_on=result.data.rows["train"],
        training=result.training,
        key=result.key,
    )


def overrides(options: Options, seed: int, asked: tuple[str, ...]) -> list[str]:
    """Return the overrides of one run: the common ones, then --set, then this side's."""
    if options.model is None:
        models = ["profile=tiny"]
    else:
        layers = ",".join(str(at) for at in range(options.student_layers))
        models = [
            "teacher=minilm",
            f"teacher.models=['{options.model}']",
            "student=minilm_3layer",
            f"student.model='{options.model}'",
            f"student.layers=[{layers}]",
            *_TRAINING,
        ]
    data = ["dataset=synthetic"]
    if options.data is not None:
        data = ["dataset=sst2", f"dataset.path='{options.data}'", "dataset.split.scheme=random"]
    return [
        f"method={options.method}",
        "method.baseline=never",
        *models,
        *data,
        f"dataset.split.train={options.rows}",
        f"dataset.split.test={options.test_rows}",
        "tracker=none",
        f"store.dir='{options.shared / 'store'}'",
        f"runtime.threads={options.threads}",
        *options.overrides,
        *asked,
        f"seed={seed}",
    ]


def _difference(options: Options) -> Estimate:
    lever, reference = (
        [(folder, read_result(folder)) for folder in _folders(options, side)]
        for side in ("lever", "reference")
    )
    return lead_over_seeds(lever, "accuracy", over=reference, other="")


def _folders(options: Options, side: str) -> list[Path]:
    return [options.folder / "runs" / f"{side}-{seed}" for seed in options.seeds]


def verdict(difference: Estimate) -> str:
    """Return the verdict on the setting.

    Args:
        difference: in accuracy, -1..1, over seeds and clusters of rows.
    """
    interval = difference.interval()
    if interval is None or difference.seeds < 2:
        return f"{difference.seeds} seeds: too few for a statement on the difference."
    holds = "" if 100 * interval.low > -MARGIN else "not shown to be "
    equal = " and equal" if difference.is_within(MARGIN / 100) else ""
    return (
        f"Difference over {difference.seeds} seeds and {difference.clusters:,} clusters of rows: "
        f"{100 * difference.value:+.2f} points, 95% interval [{100 * interval.low:+.2f}, "
        f"{100 * interval.high:+.2f}]; {holds}not inferior"
        f"{equal} at a margin of {MARGIN} points."
    )


def _scored(pairs: Mapping[str, Mapping[str, Side]]) -> str:
    one = next(iter(pairs.values()))["lever"]
    return f"Trained on {one.trained_on:,} rows, scored on {one.rows:,} others."


def _percent(side: Side) -> str:
    return f"{100 * side.accuracy:.2f}"
