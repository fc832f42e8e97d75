"""Parses the benchmark's command line, without importing torch."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from distill_runner.errors import Refused

# The contenders of each race; the first is distill-run itself.
OURS = "ours"
RACES = {
    "kd": ("textbrewer-padded", "textbrewer-dynamic", "trainer-dynamic"),
    "metadistil": ("double-backward-padded", "double-backward-dynamic"),
    "finetune": ("trainer-dynamic", "trainer-grouped"),
}
_BOTH_PRECISIONS = ("predict", "attention")
_TASKS = {
    "predict": "rows per second of teacher and student, and the latency of one text",
    "efficiency": "useful arithmetic as a share of the processor's rate, and where the time goes",
    "operations": "a step's time by operation",
    "scale": "rows from 1k to 1M, sequences from 16 to 512 tokens, 1 to 10 teachers",
    "startup": "seconds until help, a typo, a dry run and a finished result are answered",
    "attention": "training steps under torch's fused attention and under the plain product",
    "coverage": "how often an interval over seeds and clusters of rows holds the true gain",
    "pairs": "accuracy of whole runs with and without a setting, seed by seed",
}


@dataclass(frozen=True)
class Options:
    """The options of one benchmark."""

    command: str
    model: str | None = None  # folder of the teacher's pre-trained weights; None: random ones
    student_layers: int = 3  # the bottom layers of `model`
    data: str | None = None  # folder with train.* and validation.*; None: generated sentences
    rows: int = 30000  # training rows
    rounds: int = 5
    steps: int = 8  # optimiser steps per chunk
    seed: int = 1  # the seed of the contenders' order
    threads: int = 1
    core: int | None = None
    precision: tuple[str, ...] = ("float32",)
    max_tokens: int = 128  # the limit of all contenders; "padded" ones pad every row to it
    epochs: tuple[int, ...] = (1, 3, 15)  # the projections' numbers of epochs
    output: str = ""
    cache: str = "outputs/bench"  # store and peers, shared by all benchmarks
    against: tuple[str, ...] = ()
    textbrewer_path: str | None = None
    overrides: tuple[str, ...] = ()  # overrides of distill-run's configuration, from --set
    sizes: tuple[int, ...] = ()
    lengths: tuple[int, ...] = ()
    teachers: tuple[int, ...] = ()
    method: str = "kd"
    lever: tuple[str, ...] = ()  # overrides of the side with the setting
    reference: tuple[str, ...] = ()  # overrides of the other side
    seeds: tuple[int, ...] = ()
    test_rows: int = 0
    emulate_bfloat16: bool = False

    @property
    def folder(self) -> Path:
        return Path(self.output)

    @property
    def shared(self) -> Path:
        """The folder of the store and of the installed peers, shared by all measurements."""
        return Path(self.cache)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Options:
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in json.loads(text).items()
        }
        return cls(**values)


def parse(argv: Sequence[str]) -> Options:
    """Parse and check the options.

    Raises:
        Refused: an option is invalid.
    """
    given = vars(_parser().parse_args(argv))
    names = {field.name for field in fields(Options)}
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in given.items()
        if name in names and value is not None
    }
    command = values["command"]
    values["output"] = str(Path(values.get("output", f"outputs/bench/{command}")).absolute())
    values["cache"] = str(Path(values.get("cache", Options.cache)).absolute())
    for name in ("model", "data", "textbrewer_path"):
        if name in values:
            values[name] = str(Path(values[name]).expanduser().absolute())
    options = Options(**values)
    _check(options)
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="benchmarks",
        description="Measures distill-run and other implementations.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="SUBCOMMAND")
    for name, peers in RACES.items():
        race = commands.add_parser(
            name, help=f"training steps: ours and {', '.join(peers)}", allow_abbrev=False
        )
        _add_common(race)
        race.add_argument(
            "--against", nargs="+", choices=peers, metavar="PEER", help="only these peers"
        )
        if name == "kd":
            race.add_argument("--textbrewer-path", metavar="DIR", help="folder with textbrewer/")
    for name, help_text in _TASKS.items():
        task = commands.add_parser(name, help=help_text, allow_abbrev=False)
        _add_common(task)
        if name == "scale":
            task.add_argument(
                "--sizes", nargs="*", type=int, default=[1000, 10000, 100000, 1000000]
            )
            task.add_argument("--lengths", nargs="*", type=int, default=[16, 32, 64, 128, 256, 512])
            task.add_argument("--teachers", nargs="*", type=int, default=[1, 2, 5, 10])
        elif name == "attention":
            task.add_argument("--lengths", nargs="*", type=int, default=[200], metavar="TOKENS")
            task.add_argument("--method", metavar="NAME", help="as in method=NAME (metadistil)")
            task.set_defaults(method="metadistil", rows=2000, precision=["float32", "bfloat16"])
        elif name == "coverage":
            task.set_defaults(rounds=2000)
        elif name == "pairs":
            _add_pairs(task)
    return parser


def _add_pairs(task: argparse.ArgumentParser) -> None:
    add = task.add_argument
    add("--method", metavar="NAME", help="the method, as in method=NAME (kd)")
    for side in ("lever", "reference"):
        text = f"an override of only the {side} side; may be repeated"
        add(f"--{side}", action="append", default=[], metavar="KEY=VALUE", help=text)
    add("--seeds", nargs="+", type=int, default=[1, 2, 3, 4, 5], help="(1 2 3 4 5)")
    add("--test-rows", type=int, default=48000, metavar="N", help="test rows (48000)")
    text = "bfloat16's rounding at float32's cost, for a processor without bfloat16"
    add("--emulate-bfloat16", action="store_true", help=text)
    task.set_defaults(rows=10000)


def _add_common(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--model", metavar="FOLDER", help="pre-trained teacher; default: MiniLM's shape, random")
    add("--student-layers", type=int, metavar="N", help="bottom layers the student keeps (3)")
    add("--data", metavar="FOLDER", help="SST-2 as train.*, validation.*; default: generated")
    add("--rows", type=int, metavar="N", help="training rows (30000)")
    add("--rounds", type=int, metavar="N", help="timed rounds (5)")
    add("--steps", type=int, metavar="N", help="optimiser steps per turn (8)")
    add("--seed", type=int, metavar="N", help="seed of the order of turns (1)")
    add("--threads", type=int, metavar="N", help="threads per contender (1)")
    add("--core", type=int, metavar="N", help="run on this core only")
    add("--precision", nargs="+", choices=("float32", "bfloat16"), help="number format (float32)")
    add("--max-tokens", type=int, metavar="N", help="limit; padded peers pad every row to it (128)")
    add("--epochs", nargs="+", type=int, metavar="E", help="epochs to project to (1 3 15)")
    add(
        "--output",
        metavar="FOLDER",
        help="folder of the record (outputs/bench/SUBCOMMAND)",
    )
    add("--cache", metavar="FOLDER", help="folder of the store and the peers (outputs/bench)")
    add(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change distill-run's configuration; may be repeated",
    )


def _check(options: Options) -> None:
    for name in ("student_layers", "rows", "rounds", "steps", "threads", "max_tokens"):
        _require(name, getattr(options, name), getattr(options, name) > 0, "1 or more")
    if options.command == "pairs":
        differ = set(options.lever) != set(options.reference)
        _require("lever", " ".join(options.lever) or None, differ, "different from --reference")
    if options.command not in _BOTH_PRECISIONS:
        one, both = len(options.precision) == 1, " and ".join(_BOTH_PRECISIONS)
        rule = f"one of float32, bfloat16; {both} take both"
        _require("precision", options.precision, one, rule)
    for name, file in (("model", "config.json"), ("data", "")):
        folder = getattr(options, name)
        if folder is not None:
            _require(
                name, folder, (Path(folder) / file).exists(), f"a folder {file and 'with '}{file}"
            )
    if options.core is not None:
        cores = sorted(os.sched_getaffinity(0))
        _require("core", options.core, options.core in cores, f"one of {cores}")


def _require(name: str, value: object, holds: bool, rule: str) -> None:
    if not holds:
        key = f"--{name.replace('_', '-')}"
        raise Refused(f"{key} is not valid.", key=key, value=value, rule=rule.strip())
