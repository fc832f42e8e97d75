"""Runs one case in a process of its own and judges what it did.

The process is forked from one that has imported everything and computed nothing, so that a
draw does not pay for Python's imports.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, NoReturn

from fuzz.cases import Case, Row

HANG = 60.0  # seconds
# What a run may make in its working directory.
_MADE = ("out", "store", "stdout", "stderr", "rows.json")
_ONCE = (
    "log.txt",
    "attempt.json",
    ".lock",
    "config.yaml",
    "files.json",
    "README.md",
    "result.json",
)


def run(case: Case, folder: Path) -> dict[str, Any]:
    """What became of the case: exit code, or how it died, and what is wrong with that."""
    before = _listing(folder)
    began = time.monotonic()
    status = _command(case, folder) if case.depth == "command" else _forked(case, folder)
    printed, error = (
        (folder / name).read_text(encoding="utf-8", errors="replace")
        for name in ("stdout", "stderr")
    )
    wrong = [*_wrong_exit(case, status, printed, error), *_escaped(folder, before)]
    if status == 0 and not wrong:
        wrong += _wrong_output(case, folder)
    return {
        "kind": case.kind,
        "what": case.what,
        "status": status,
        "seconds": round(time.monotonic() - began, 2),
        "wrong": wrong,
        "command": case.command if wrong else None,
        "said": (error or printed)[-1500:] if wrong else None,
    }


# --- running ----------------------------------------------------------------------------------


def _forked(case: Case, folder: Path) -> int | str:
    child = os.fork()
    if child == 0:
        _in_the_child(case.command, folder, depth=case.depth)
    deadline = time.monotonic() + HANG
    while time.monotonic() < deadline:
        done, code = os.waitpid(child, os.WNOHANG)
        if done:
            return _status(code)
        time.sleep(0.003)
    _kill_tree(child)
    os.waitpid(child, 0)
    return "hang"


def _status(code: int) -> int | str:
    return f"died of signal {os.WTERMSIG(code)}" if os.WIFSIGNALED(code) else os.WEXITSTATUS(code)


def _in_the_child(
    command: list[str], folder: Path, *, depth: str, stop_at: int | None = None
) -> NoReturn:
    """Be the command, and never come back."""
    code = 99
    try:
        os.setsid()
        os.chdir(folder)
        # Behind an & a shell has it ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number, name in ((1, "stdout"), (2, "stderr")):
            target = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(target, number)
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)
        _cut_short(depth, folder, stop_at)
        sys.argv = ["distill-run", *command]
        from distill_runner import cli

        cli.main()
        code = 0
    except SystemExit as stopped:
        code = stopped.code if isinstance(stopped.code, int) else 0 if stopped.code is None else 1
    except BaseException:  # whatever it is, it is a finding
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


class _Enough(SystemExit):
    """The preflight is over."""


def _cut_short(depth: str, folder: Path, stop_at: int | None) -> None:
    from distill_runner.pipeline import runner as running
    from distill_runner.training import loop

    if depth in ("preflight", "models"):

        def preflight_only(runner: Any, **_: Any) -> NoReturn:
            _dump_rows(runner, folder / "rows.json")
            if depth == "models":
                for stage in runner._plan.stages:
                    if not set(stage.needs_stages) - set(stage.teachers):
                        runner.parts.factory.learner(stage)
            raise _Enough(0)

        running.Runner.run = preflight_only  # type: ignore[assignment, method-assign]
    if stop_at is not None:
        step = loop.Loop.step

        def interrupted(trainer: loop.Loop, *args: Any) -> None:
            step(trainer, *args)
            if trainer.progress.step == stop_at:
                os.kill(os.getpid(), signal.SIGINT)

        loop.Loop.step = interrupted  # type: ignore[assignment, method-assign]


def _dump_rows(runner: Any, file: Path) -> None:
    """The rows that the run would train and score on, with the names of their classes."""
    data = runner.parts.data["task"].data
    rows = []
    for split, table in data.splits.items():
        if split == "unlabelled":
            continue
        pairs = table["text_pair"] if "text_pair" in table.column_names else [None] * len(table)
        for text, pair, label in zip(table["text"], pairs, table["label"], strict=True):
            name = data.label_names[label] if len(data.label_names) > 1 else f"{label:.3f}"
            rows.append([part for part in (text, pair, name) if part is not None])
    file.write_text(json.dumps(rows), encoding="utf-8")


def launch(command: list[str], folder: Path, stop_at: int | None) -> int:
    """A whole run in a process of its own, broken off at a step if asked; its exit status."""
    child = os.fork()
    if child == 0:
        _in_the_child(command, folder, depth="train", stop_at=stop_at)
    return int(_status(os.waitpid(child, 0)[1]))


def _command(case: Case, folder: Path) -> int | str:
    """The command itself, imports and all."""
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "distill_runner.cli", *case.command],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True,
        )  # fmt: skip
        try:
            code = process.wait(HANG)
        except subprocess.TimeoutExpired:
            _kill_tree(process.pid)
            process.wait()
            return "hang"
    return code if code >= 0 else f"died of signal {-code}"


def _kill_tree(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


# --- judging ----------------------------------------------------------------------------------


def _wrong_exit(case: Case, status: int | str, printed: str, error: str) -> list[str]:
    if not isinstance(status, int):
        return [status]
    wrong = []
    if "Traceback" in printed + error:
        wrong.append("a traceback")
    if "this is a bug in distill-run" in error:
        wrong.append("a fault of its own")
    if "\x1b" in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", printed) + error:
        wrong.append("a raw escape on the screen")
    if status not in (0, 2):
        wrong.append(f"exit {status}")
    if case.expected == "done" and status != 0:
        wrong.append(f"exit {status}, and it was good")
    if case.expected == "refused" and status != 2:
        wrong.append(f"exit {status}, and it was bad")
    if status == 2:
        if error.count("distill-run:") != 1:
            wrong.append(f"{error.count('distill-run:')} messages for one refusal")
        elif "\n  " not in error and "jobs did not finish" not in error:
            wrong.append("a refusal without key, rule or way out")
    return wrong


def _listing(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _escaped(folder: Path, before: dict[str, tuple[int, int]]) -> list[str]:
    """Files of the user's that are gone or changed, and files in places that were not asked for."""
    after = _listing(folder)
    at_risk = [name for name in before if name.split("/")[0] != "store"]
    lost = [f"{name} was touched" for name in at_risk if after.get(name) != before[name]]
    made = [name for name in after if name not in before and name.split("/")[0] not in _MADE]
    # A sweep's folder has the name that was typed; all that a draw can type lies in here.
    return lost + [f"{name} was made" for name in made if "escaped" in name]


def _wrong_output(case: Case, folder: Path) -> list[str]:
    if case.depth in ("preflight", "models"):
        return _wrong_rows(case.rows, folder / "rows.json")
    out = folder / "out"
    if case.twin is not None:
        return [f"{name} differs from the undamaged run's" for name in _unlike(out, case.twin)]
    answered = set(case.command) & {"--version", "--help", "-h", "--info", "--cfg", "dry_run=true"}
    return [] if answered else _wrong_result(out)


def _wrong_rows(expected: list[Row] | None, file: Path) -> list[str]:
    if expected is None or not file.exists():
        return []
    found = Counter(tuple(row) for row in json.loads(file.read_text(encoding="utf-8")))
    wanted = Counter(tuple(row) for row in expected)
    if found == wanted:
        return []
    missing, new = (wanted - found).total(), (found - wanted).total()
    return [f"{missing} rows of the file are not among those read, {new} read are not in the file"]


def _unlike(out: Path, twin: Path) -> list[str]:
    """Files that both runs must have alike, and have not."""
    names = sorted(
        {path.relative_to(root).as_posix() for root in (out, twin) for path in root.rglob("*")
         if path.is_file() and path.name not in _ONCE}
    )  # fmt: skip
    different = [
        name
        for name in names
        if not ((out / name).is_file() and (twin / name).is_file())
        or (out / name).read_bytes() != (twin / name).read_bytes()
    ]
    metrics = [json.loads((root / "result.json").read_text())["metrics"] for root in (out, twin)]
    return different + ([] if metrics[0] == metrics[1] else ["result.json: metrics"])


def _wrong_result(out: Path) -> list[str]:
    """What a finished run claims and does not have."""
    if not (out / "result.json").is_file():
        return ["exit 0 without a result.json"]
    from safetensors.torch import load_file

    result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    wrong = []
    weights = sorted((out / "student").rglob("model.safetensors"))
    if not weights:
        wrong.append("no student")
    for file in weights:
        if not all(bool(tensor.isfinite().all()) for tensor in load_file(file).values()):
            wrong.append("a student with weights that are no numbers")
    test = result["metrics"].get("test")
    if test and "accuracy" in test:
        with (out / "predictions" / "test.csv").open(newline="", encoding="utf-8") as table:
            rows = list(csv.DictReader(table))
        right = sum(row["label"] == row["predicted"] for row in rows)
        if len(rows) != test["n"] or abs(right / len(rows) - test["accuracy"]) > 1e-9:
            wrong.append("an accuracy that does not follow from the predictions")
    return wrong
