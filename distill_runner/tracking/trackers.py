"""Where curves go: Weights & Biases, a file of JSON lines, or nowhere.

W&B runs in a child process (`wandb_child`). Nothing it does can then reach the
training: not its threads, exit hooks or patched `sys.exit`, not a crash of its
service, not a word on the screen. The training puts lines into a queue and waits
at its end and by its own clock only: until W&B has been open for `OPEN_SECONDS`, where
the run was shorter than that, and then for `FINISH_SECONDS`; the child alone waits for
the server.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Protocol

from distill_runner.config import schema

# What a W&B that is down may cost a run: the sum of these two.
OPEN_SECONDS = 3.5
FINISH_SECONDS = 5.5
# Offline there is no server to wait for, only a busy disk or processor.
LOCAL_FINISH_SECONDS = 30.0

# The child's own patience with the server.
PROBE_SECONDS = 2.0
INIT_SECONDS = 3.0
UPLOAD_SECONDS = 4.0


@dataclass(frozen=True)
class RunCard:
    """What a run is called and how it was set; `config` is nested plain containers."""

    name: str
    group: str | None
    job_type: str
    tags: tuple[str, ...]
    config: Mapping[str, object]
    id: str | None = None


class Tracker(Protocol):
    """Takes a run's points, then its summary; never stops the run it watches."""

    @property
    def note(self) -> str | None:
        """One line for the screen: where the curves are. Final after `finish`."""

    def log(self, values: Mapping[str, float], *, step: int) -> None:
        """Add points at `step`, the run's optimiser step so far, which never falls."""

    def finish(self, summary: Mapping[str, float | str], *, failed: bool = False) -> None:
        """Close the run. A second call does nothing."""


class EarlyChild:
    """The process of a W&B run, started while there is no run to be told of yet.

    It needs as long to import W&B as a run needs to import torch. Left without being taken, it
    is ended.
    """

    def __init__(self, kind: schema.TrackerKind) -> None:
        self._child: subprocess.Popen[str] | None = None
        if kind is schema.TrackerKind.wandb:
            # What cannot start now is started, and told of, when it is needed.
            with contextlib.suppress(OSError):
                self._child = _start_child(subprocess.DEVNULL)

    def take(self) -> subprocess.Popen[str] | None:
        """The process, for whoever will talk to it; once."""
        child, self._child = self._child, None
        return child

    def __enter__(self) -> EarlyChild:
        return self

    def __exit__(self, *_: object) -> None:
        if (child := self.take()) is not None:
            with child:
                child.kill()


def open_tracker(
    settings: schema.Tracker, *, folder: Path, card: RunCard, early: EarlyChild | None = None
) -> Tracker:
    """Start tracking one run; its files go under `folder`.

    Args:
        early: W&B's process where it is running already.

    Raises:
        OSError: `jsonl` cannot write its file. W&B's troubles become a note instead.
    """
    if settings.kind is schema.TrackerKind.none:
        return NoTracker()
    if settings.kind is schema.TrackerKind.jsonl:
        return JsonLinesTracker(folder, card)
    return WandbTracker(settings.project, folder, card, early.take() if early else None)


class NoTracker:
    """Keeps nothing, so that no caller has to ask whether tracking is on."""

    note: str | None = None

    def log(self, values: Mapping[str, float], *, step: int) -> None:
        pass

    def finish(self, summary: Mapping[str, float | str], *, failed: bool = False) -> None:
        pass


class JsonLinesTracker:
    """`tracker.jsonl`: a line for the card, one for each point, one for the summary.

    A run that goes on in the same folder adds to the file, again card first.
    NaN and Infinity are spelled as Python's json does.
    """

    def __init__(self, folder: Path, card: RunCard) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "tracker.jsonl"
        self.note: str | None = f"curves: {path}"
        # Line by line, so that a run which is killed leaves its points behind.
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._write({"card": asdict(card)})

    def log(self, values: Mapping[str, float], *, step: int) -> None:
        self._write({"step": step, "values": _floats(values)})

    def finish(self, summary: Mapping[str, float | str], *, failed: bool = False) -> None:
        if not self._file.closed:
            self._write({"summary": dict(summary), "failed": failed})
            self._file.close()

    def _write(self, line: Mapping[str, object]) -> None:
        self._file.write(_line(line))


class WandbTracker:
    """The training's end of the pipe to the child that talks to W&B."""

    def __init__(
        self, project: str, folder: Path, card: RunCard, child: subprocess.Popen[str] | None
    ) -> None:
        # Absolute: the note must hold wherever the reader's shell stands.
        self._folder = folder.absolute()
        self._began = time.monotonic()
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._opened, self._closed = threading.Event(), threading.Event()
        self._local = self._finished = False
        self.note: str | None = f"W&B has not answered yet; its files go under {self._folder}"
        self._lines.put(_line({"open": self._opening(project, card)}))
        self._child = child or self._start()
        if self._child is not None:
            threading.Thread(target=self._send, args=(self._child.stdin,), daemon=True).start()
            threading.Thread(target=self._listen, args=(self._child.stdout,), daemon=True).start()

    def _opening(self, project: str, card: RunCard) -> dict[str, object]:
        patience = {"probe": PROBE_SECONDS, "init": INIT_SECONDS, "upload": UPLOAD_SECONDS}
        return {
            "project": project,
            "folder": str(self._folder),
            "card": asdict(card),
            "patience": patience,
        }

    def log(self, values: Mapping[str, float], *, step: int) -> None:
        if not self._closed.is_set():
            self._lines.put(_line({"log": _floats(values), "step": step}))

    def finish(self, summary: Mapping[str, float | str], *, failed: bool = False) -> None:
        if self._finished or self._child is None:
            return
        self._finished = True
        self._lines.put(_line({"finish": dict(summary), "failed": failed}))
        self._lines.put(None)
        # Training has begun meanwhile; only a run of seconds has to wait for it here.
        self._opened.wait(max(0.0, OPEN_SECONDS - (time.monotonic() - self._began)))
        limit = LOCAL_FINISH_SECONDS if self._local else FINISH_SECONDS
        if not self._closed.wait(limit):
            # Left to itself it still writes what it holds, and soon ends.
            self.note = f"W&B did not finish in {limit:g} s; what it has is under {self._folder}"
            return
        self._child.wait()

    def _start(self) -> subprocess.Popen[str] | None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with (self._folder / "wandb.log").open("a") as log:
                return _start_child(log)
        except OSError as error:
            self.note = f"no curves, W&B could not start: {error}"
            return None

    def _send(self, pipe: IO[str]) -> None:
        try:
            with pipe:
                while (line := self._lines.get()) is not None:
                    pipe.write(line)
                    pipe.flush()
        except BrokenPipeError:
            pass  # `_listen` sees the same end and says so.

    def _listen(self, pipe: IO[str]) -> None:
        ended_well = False
        with pipe:
            for line in pipe:
                answer = json.loads(line)
                self.note, self._local = answer["note"], answer["local"]
                ended_well = answer["last"]
                self._opened.set()
                if ended_well:
                    break
        if not ended_well:
            self.note = f"W&B stopped early; see {self._folder / 'wandb.log'}"
        self._opened.set()
        self._closed.set()


def _start_child(log: IO[str] | int) -> subprocess.Popen[str]:
    """W&B's process; it writes into `log` until it knows the run's folder.

    Raises:
        OSError: it cannot be started.
    """
    package_root = str(Path(__file__).resolve().parents[2])
    search = [package_root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "distill_runner.tracking.wandb_worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONPATH": os.pathsep.join(search)},
        # Ctrl-C is for the training, which then says how the run ended.
        start_new_session=True,
    )


def _floats(values: Mapping[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items()}


def _line(message: Mapping[str, object]) -> str:
    return json.dumps(message, default=str) + "\n"
