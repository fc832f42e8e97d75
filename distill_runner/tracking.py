"""Where curves go: Weights & Biases, a file of JSON lines, or nowhere.

W&B runs in a child process (this module as a program). Nothing it does can then
reach the training: not its threads, exit hooks or patched `sys.exit`, not a crash
of its service, not a word on the screen. The training puts lines into a queue and
waits by its own clock only, `OPEN_SECONDS` at the start and `FINISH_SECONDS` at the
end; the child alone waits for the server.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shlex
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from distill_runner import schema

# What a W&B that is down may cost a run: the sum of these two.
OPEN_SECONDS = 3.5
FINISH_SECONDS = 5.5
# Offline there is no server to wait for, only a busy disk or processor.
LOCAL_FINISH_SECONDS = 30.0

# The child's own patience with the server.
PROBE_SECONDS = 2.0
INIT_SECONDS = 3
UPLOAD_SECONDS = 4.0
LINGER_SECONDS = 30.0

UNREACHABLE = "the server does not answer"


@dataclass(frozen=True)
class RunCard:
    """What a run is called and how it was set; `config` is nested plain containers."""

    name: str
    group: str
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


def open_tracker(settings: schema.Tracker, *, folder: Path, card: RunCard) -> Tracker:
    """Start tracking one run; its files go under `folder`.

    Raises:
        OSError: `jsonl` cannot write its file. W&B's troubles become a note instead.
    """
    if settings.kind is schema.TrackerKind.none:
        return NoTracker()
    if settings.kind is schema.TrackerKind.jsonl:
        return JsonLinesTracker(folder, card)
    return WandbTracker(settings.project, folder, card)


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

    def __init__(self, project: str, folder: Path, card: RunCard) -> None:
        # Absolute: the note must hold wherever the reader's shell stands.
        self._folder = folder.absolute()
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._opened, self._closed = threading.Event(), threading.Event()
        self._local = self._finished = False
        self.note: str | None = f"W&B has not answered yet; its files go under {self._folder}"
        opening = {"project": project, "folder": str(self._folder), "card": asdict(card)}
        self._lines.put(_line({"open": opening}))
        self._child = self._start()
        if self._child is not None:
            threading.Thread(target=self._send, args=(self._child.stdin,), daemon=True).start()
            threading.Thread(target=self._listen, args=(self._child.stdout,), daemon=True).start()
            self._opened.wait(OPEN_SECONDS)

    def log(self, values: Mapping[str, float], *, step: int) -> None:
        if not self._closed.is_set():
            self._lines.put(_line({"log": _floats(values), "step": step}))

    def finish(self, summary: Mapping[str, float | str], *, failed: bool = False) -> None:
        if self._finished or self._child is None:
            return
        self._finished = True
        self._lines.put(_line({"finish": dict(summary), "failed": failed}))
        self._lines.put(None)
        limit = LOCAL_FINISH_SECONDS if self._local else FINISH_SECONDS
        if not self._closed.wait(limit):
            # Left to itself it still writes what it holds, then ends within LINGER_SECONDS.
            self.note = f"W&B did not finish in {limit:g} s; what it has is under {self._folder}"
            return
        self._child.wait()

    def _start(self) -> subprocess.Popen[str] | None:
        package_root = str(Path(__file__).resolve().parents[1])
        search = [package_root, *filter(None, [os.environ.get("PYTHONPATH")])]
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with (self._folder / "wandb.log").open("a") as log:
                return subprocess.Popen(
                    [sys.executable, "-m", "distill_runner.tracking"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    encoding="utf-8",
                    env=os.environ | {"PYTHONPATH": os.pathsep.join(search)},
                    # Ctrl-C is for the training, which then says how the run ended.
                    start_new_session=True,
                )
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


def _floats(values: Mapping[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items()}


def _line(message: Mapping[str, object]) -> str:
    return json.dumps(message, default=str) + "\n"


# From here on: the child.


def main() -> None:
    """Serve one run: lines in on stdin, notes out on stdout, all else to stderr."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    # Whatever W&B prints must not mix with the replies.
    os.dup2(2, 1)
    # Its error reports would hold up the exit for ten seconds when the server is gone.
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    os.environ.setdefault("WANDB_SILENT", "true")

    def reply(note: str | None, *, local: bool, last: bool = False) -> None:
        # The training may be gone; its points are still worth keeping.
        with contextlib.suppress(BrokenPipeError):
            replies.write(_line({"note": note, "local": local, "last": last}))

    status = 0
    try:
        _serve(sys.stdin, reply)
    except Exception:
        traceback.print_exc()
        status = 1
        _end_process_after(LINGER_SECONDS)
        _close_service()
    # Past W&B's exit hooks, which wait for the server once more.
    os._exit(status)


def _serve(lines: IO[str], reply: Callable[..., None]) -> None:
    run, reason = _open_run(json.loads(lines.readline())["open"])
    local = run.offline or run.disabled
    note = _place(run, reason)
    reply(note, local=local)
    message: dict[str, Any] = {}
    for line in lines:
        message = json.loads(line)
        if "log" not in message:
            break
        run.log(message["log"], step=message["step"])
    _end_process_after(LINGER_SECONDS)
    run.summary.update(message.get("finish", {}))
    try:
        # Lines that end without a "finish" come from a training that was killed.
        run.finish(exit_code=int(message.get("failed", True)))
    except TimeoutError:
        note = f"W&B did not take all in time; {_where(run)}"
    except Exception as error:
        _report(error)
        note = f"W&B broke off ({type(error).__name__}); {_where(run)}"
    _close_service()
    reply(note, local=local, last=True)


def _open_run(opening: Mapping[str, Any]) -> tuple[Any, str | None]:
    """The run, and why it is offline where nobody asked for that."""
    import wandb

    settings = wandb.setup().settings
    if settings.mode not in (None, "online", "shared"):
        return _init(opening, settings.mode), None
    reason = _why_offline(settings)
    if reason is None:
        try:
            return _init(opening, settings.mode), None
        except Exception as error:
            # Any of its errors, and a bare one from its transport, mean the same here.
            _report(error)
            reason = UNREACHABLE
    return _init(opening, "offline"), reason


def _init(opening: Mapping[str, Any], mode: Any) -> Any:
    import wandb

    card = opening["card"]
    return wandb.init(
        project=opening["project"],
        dir=opening["folder"],
        id=card["id"],
        resume="allow" if card["id"] else None,
        name=card["name"],
        group=card["group"],
        job_type=card["job_type"],
        tags=card["tags"],
        config=card["config"],
        mode=mode,
        settings=wandb.Settings(
            silent=True,
            console="off",
            save_code=False,
            disable_git=True,
            disable_code=True,
            x_disable_stats=True,
            x_disable_meta=True,
            init_timeout=INIT_SECONDS,
            finish_timeout=UPLOAD_SECONDS,
            finish_timeout_raises=True,
        ),
    )


def _why_offline(settings: Any) -> str | None:
    import requests

    key = settings.api_key or (requests.utils.get_netrc_auth(settings.base_url) or (0, None))[1]
    if key is None and not settings.identity_token_file:
        return "no API key"
    answer: list[str | None] = [UNREACHABLE]
    # In a thread, as a name look-up keeps no timeout.
    probe = threading.Thread(target=_probe, args=(settings.base_url, key, answer), daemon=True)
    probe.start()
    probe.join(PROBE_SECONDS)
    return answer[0]


def _probe(base_url: str, key: str | None, answer: list[str | None]) -> None:
    import requests

    try:
        status = requests.post(
            f"{base_url.rstrip('/')}/graphql",
            json={"query": "query { viewer { id } }"},
            auth=("api", key) if key else None,
            timeout=PROBE_SECONDS,
        ).status_code
    except requests.exceptions.SSLError:
        answer[0] = None  # It may know a certificate that requests does not.
    except requests.RequestException as error:
        _report(error)
    else:
        answer[0] = f"the server answers {status}" if status >= 500 else None
        if key is not None and status in (401, 403):
            answer[0] = "the server refuses the API key"


def _place(run: Any, reason: str | None) -> str | None:
    if run.disabled:
        return None
    if not run.offline:
        return f"curves: {run.url}"
    return f"W&B is offline{f' ({reason})' if reason else ''}; {_where(run)}"


def _where(run: Any) -> str:
    folder = shlex.quote(str(Path(run.dir).absolute().parent))
    # Left out by `wandb sync` otherwise, as if all of an online run had arrived.
    option = "" if run.offline else "--include-online "
    return f"to upload the curves: wandb sync {option}{folder}"


def _close_service() -> None:
    """Wait until W&B's service has written out what it holds and is gone."""
    import wandb

    try:
        wandb.teardown()
    except Exception as error:
        _report(error)


def _report(error: Exception) -> None:
    print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)


def _end_process_after(seconds: float) -> None:
    timer = threading.Timer(seconds, os._exit, args=(1,))
    timer.daemon = True
    timer.start()


if __name__ == "__main__":
    main()
