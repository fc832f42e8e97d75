"""Sends a run's curves to Weights & Biases through a child process.

W&B runs in the child (`wandb_worker`), so nothing it does affects the training: not its threads,
exit hooks or patched `sys.exit`, not a crash of its service, and it prints nothing on the screen.
The training puts lines into a queue and waits only at its end: for W&B to open, until
`OPEN_SECONDS` after the start, and then for `FINISH_SECONDS`. Only the child waits for the server.
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
from dataclasses import asdict
from pathlib import Path
from typing import IO

from distill_runner.tracking.trackers import RunCard, Tracker, as_floats, as_line

# If W&B is down, a run loses at most the sum of these two.
OPEN_SECONDS = 3.5
FINISH_SECONDS = 5.5
# Offline the wait is only for a busy disk or processor.
LOCAL_FINISH_SECONDS = 30.0

# The time limits of the child's requests to the server.
PROBE_SECONDS = 2.0
INIT_SECONDS = 3.0
UPLOAD_SECONDS = 4.0


class WandbTracker(Tracker):
    """The training's end of the pipe to the child process that talks to W&B."""

    def __init__(self) -> None:
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._opened, self._closed = threading.Event(), threading.Event()
        self._child: subprocess.Popen[str] | None = None
        self._local = self._finished = self._serves = False

    def warm_up(self) -> None:
        # The child takes as long to import W&B as the run to import torch. If it cannot start
        # now, `open` tries again and reports the failure.
        with contextlib.suppress(OSError):
            self._child = _start_child(subprocess.DEVNULL)

    def open(self, folder: Path, card: RunCard) -> None:
        # Absolute, because the reader's shell may be in another folder.
        self._folder = folder.absolute()
        self._began = time.monotonic()
        self.note = f"W&B has not answered yet; its files go under {self._folder}"
        self._lines.put(as_line({"open": self._opening(card)}))
        self._child = self._child or self._start()
        if self._child is not None:
            self._serves = True
            threading.Thread(target=self._send, args=(self._child.stdin,), daemon=True).start()
            threading.Thread(target=self._listen, args=(self._child.stdout,), daemon=True).start()

    def close(self) -> None:
        if self._child is not None and not self._serves:
            with self._child:
                self._child.kill()

    def _opening(self, card: RunCard) -> dict[str, object]:
        patience = {"probe": PROBE_SECONDS, "init": INIT_SECONDS, "upload": UPLOAD_SECONDS}
        return {
            "folder": str(self._folder),
            "card": asdict(card),
            "patience": patience,
        }

    def log(self, values: Mapping[str, float], *, step: int) -> None:
        if not self._closed.is_set():
            self._lines.put(as_line({"log": as_floats(values), "step": step}))

    def finish(self, summary: Mapping[str, float | str], *, failed: bool = False) -> None:
        if self._finished or self._child is None:
            return
        self._finished = True
        self._lines.put(as_line({"finish": dict(summary), "failed": failed}))
        self._lines.put(None)
        # Only a run of a few seconds has to wait here.
        self._opened.wait(max(0.0, OPEN_SECONDS - (time.monotonic() - self._began)))
        limit = LOCAL_FINISH_SECONDS if self._local else FINISH_SECONDS
        if not self._closed.wait(limit):
            # The child still writes what it holds, and then ends by itself.
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
            pass  # `_listen` notices and reports it

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
    """Start the child process; it writes into `log` until it knows the run's folder.

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
        # Ctrl-C must reach only the training, which then reports how the run ended.
        start_new_session=True,
    )
