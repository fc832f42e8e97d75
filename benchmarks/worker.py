"""Runs one contender, or one task, in its own process.

    python -P -m benchmarks.worker NAME OPTIONS [ARGUMENTS]

Separate processes keep memory peaks, allocator settings and warm kernels apart. Answers are JSON
lines on standard output; everything else that is printed goes to standard error.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.contender import Contender, Gate
from benchmarks.options import OURS, RACES, Options
from benchmarks.peers.install import provide
from distill_runner.errors import DistillError

if TYPE_CHECKING:
    from benchmarks.setting import Setting


def main() -> None:
    name, options = sys.argv[1], Options.from_json(sys.argv[2])
    arguments = json.loads(sys.argv[3]) if len(sys.argv) > 3 else {}
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    gate = Gate(sys.stdin, answers)
    try:
        with tempfile.TemporaryDirectory(prefix="work-", dir=options.folder) as scratch:
            if options.command in RACES:
                # Before transformers is imported: it looks for accelerate only then.
                provide((name,), options.shared / "peers", options.textbrewer_path)
                from benchmarks.setting import open_setting

                # A peer runs in its usual form, without our allocator settings.
                theirs = () if name == OURS else ("runtime.keep_freed_memory=false",)
                setting = open_setting(options, options.command, *theirs)
                contender = make_contender(name, setting, Path(scratch))
                contender.race(gate, rounds=options.rounds, steps=options.steps)
            else:
                module = importlib.import_module(f"benchmarks.{options.command}")
                gate.answer(getattr(module, name)(options, Path(scratch), **arguments))
    except DistillError as error:
        gate.answer({"error": str(error), "status": error.exit_status})


def make_contender(name: str, setting: Setting, folder: Path) -> Contender:
    """Create the contender of that name.

    Args:
        name: ours, or a name from `options.RACES`.
        setting: the race's setting.
        folder: an empty folder.
    """
    family, _, style = name.rpartition("-")
    made: Any
    if name == OURS:
        from benchmarks.product import Product

        made = Product(setting, folder)
    elif family == "textbrewer":
        from benchmarks.peers.textbrewer import TextBrewer

        made = TextBrewer(setting, padded=style == "padded", folder=folder)
    elif family == "trainer":
        from benchmarks.peers.trainer import HfTrainer

        made = HfTrainer(setting, grouped=style == "grouped", folder=folder)
    else:
        from benchmarks.peers.double_backward import DoubleBackward

        made = DoubleBackward(setting, padded=style == "padded")
    contender: Contender = made
    return contender


if __name__ == "__main__":
    main()
