"""Starts and ends the worker processes of a benchmark."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.options import Options
from distill_runner.errors import DistillError, Refused

_ROOT = Path(__file__).resolve().parents[1]  # benchmarks are not installed
_END_SECONDS = 10.0
_LOG_LINES = 8


class WorkerProcess:
    """A worker process; `name` is a contender or a task."""

    def __init__(self, name: str, options: Options, arguments: Mapping[str, Any]) -> None:
        self.name = name
        self._log_path = options.folder / f"{name}.log"
        self._log = self._log_path.open("w", encoding="utf-8")
        module = ["-P", "-m", "benchmarks.worker", name]
        self._process = subprocess.Popen(
            [sys.executable, *module, options.to_json(), json.dumps(dict(arguments))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=environment(options.threads),
        )

    def ask(self) -> None:
        """Give the worker its next turn."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write("go\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._died() from None

    def answer(self) -> dict[str, Any]:
        """Wait for the worker's next message.

        Raises:
            DistillError: the worker reported an error, or it has ended.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._died()
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            kind = Refused if answer["status"] == Refused.exit_status else DistillError
            raise kind(answer["error"])
        return answer

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):  # the worker died before it read the request
            self._process.stdin.close()
        try:
            # When its input ends, the worker ends too and removes its scratch folder.
            self._process.wait(timeout=_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.terminate()
            self._process.wait()
        self._process.stdout.close()
        self._log.close()

    def _died(self) -> DistillError:
        self._process.wait()
        tail = self._log_path.read_text(encoding="utf-8", errors="replace").splitlines()
        lines = "\n  ".join(tail[-_LOG_LINES:])
        return DistillError(f"{self.name} ended early; {self._log_path} ends with\n  {lines}")


@contextmanager
def open_worker(name: str, options: Options, **arguments: Any) -> Iterator[WorkerProcess]:
    """Yield a worker, and close it at the end of the block, even after an error."""
    one = WorkerProcess(name, options, arguments)
    try:
        yield one
    finally:
        one.close()


def task(name: str, options: Options, **arguments: Any) -> dict[str, Any]:
    """Run a task in a worker, and return its answer."""
    with open_worker(name, options, **arguments) as worker:
        return worker.answer()


def environment(threads: int) -> dict[str, str]:
    """Return environment variables that limit a process to `threads` threads."""
    # Tokenizers and BLAS ignore torch's setting and would use every core.
    number = str(threads)
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")
    search = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        **dict.fromkeys(names, number),
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONPATH": os.pathsep.join(search),
    }
