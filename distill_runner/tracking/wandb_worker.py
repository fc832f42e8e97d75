"""Talks to W&B for one run, as a process: `-m distill_runner.tracking.wandb_worker`.

It reads JSON lines from stdin and writes two to stdout, each with a note for the screen: one when
the run is open, and one when it is closed.

    in    {"open": {folder, card, patience}}
          {"log": {name: value}, "step": n}            any number of these
          {"finish": {name: value}, "failed": bool}
    out   {"note": str | null, "local": bool, "last": bool}
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

LINGER_SECONDS = 30.0  # longest time from the end of the run to the end of the process
UNREACHABLE = "the server does not answer"


def main() -> None:
    """Serve one run: lines from stdin, notes to stdout, everything else to its wandb.log."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    # W&B's output must not mix with the replies.
    os.dup2(2, 1)
    # Its error reports would delay the exit by ten seconds if the server is gone.
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    os.environ.setdefault("WANDB_SILENT", "true")

    def reply(note: str | None, *, local: bool, last: bool = False) -> None:
        # The training may have ended; its points are still worth keeping.
        with contextlib.suppress(BrokenPipeError):
            answer = {"note": note, "local": local, "last": last}
            replies.write(json.dumps(answer) + "\n")

    status = 0
    try:
        _serve(sys.stdin, reply)
    except Exception:  # written to the run's log; the training continues
        traceback.print_exc()
        status = 1
        _end_process_after(LINGER_SECONDS)
        _close_service()
    # Skips W&B's exit hooks, which would wait for the server again.
    os._exit(status)


def _serve(lines: IO[str], reply: Callable[..., None]) -> None:
    with contextlib.suppress(Exception):  # imported again, and reported, in `_open_run`
        import wandb  # noqa: F401
    first = lines.readline()
    if not first:
        return  # the run was refused before its first stage
    opening = json.loads(first)["open"]
    _write_into(Path(opening["folder"]) / "wandb.log")
    run, reason = _open_run(opening)
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
        # If the lines end without a "finish", the training was killed.
        run.finish(exit_code=int(message.get("failed", True)))
    except TimeoutError:
        note = f"W&B did not receive everything in time; {_where(run)}"
    except Exception as error:
        _report(error)
        note = f"W&B failed ({type(error).__name__}); {_where(run)}"
    _close_service()
    reply(note, local=local, last=True)


def _write_into(log: Path) -> None:
    """Redirect this process's output to the end of the log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    end = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.dup2(end, 1)
    os.dup2(end, 2)
    os.close(end)


def _open_run(opening: Mapping[str, Any]) -> tuple[Any, str | None]:
    """Open the run; return it, and the reason if it is offline without the user's request."""
    import wandb

    settings = wandb.setup().settings
    if settings.mode not in (None, "online", "shared"):
        return _init(opening, settings.mode), None
    reason = _why_offline(settings, opening["patience"]["probe"])
    if reason is None:
        try:
            return _init(opening, settings.mode), None
        except Exception as error:
            # Any error here means that the server cannot be used.
            _report(error)
            reason = UNREACHABLE
    return _init(opening, "offline"), reason


def _init(opening: Mapping[str, Any], mode: Any) -> Any:
    import wandb

    card = opening["card"]
    return wandb.init(
        project=card["project"],
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
            init_timeout=opening["patience"]["init"],
            finish_timeout=opening["patience"]["upload"],
            finish_timeout_raises=True,
        ),
    )


def _why_offline(settings: Any, seconds: float) -> str | None:
    import requests

    key = settings.api_key or (requests.utils.get_netrc_auth(settings.base_url) or (0, None))[1]
    if key is None and not settings.identity_token_file:
        return "no API key"
    answer: list[str | None] = [UNREACHABLE]
    # In a thread, because host name resolution ignores timeouts.
    asked = (settings.base_url, key, seconds, answer)
    probe = threading.Thread(target=_probe, args=asked, daemon=True)
    probe.start()
    probe.join(seconds)
    return answer[0]


def _probe(base_url: str, key: str | None, seconds: float, answer: list[str | None]) -> None:
    import requests

    try:
        status = requests.post(
            f"{base_url.rstrip('/')}/graphql",
            json={"query": "query { viewer { id } }"},
            auth=("api", key) if key else None,
            timeout=seconds,
        ).status_code
    except requests.exceptions.SSLError:
        answer[0] = None  # W&B may have a certificate that requests lacks
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
    # Otherwise `wandb sync` skips an online run, as if all of it had arrived.
    option = "" if run.offline else "--include-online "
    return f"to upload the curves: wandb sync {option}{folder}"


def _close_service() -> None:
    """Wait until W&B's service has written what it holds and has ended."""
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
