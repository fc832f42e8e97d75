"""Downloads from the hub with time limits.

The hub's client sends some requests without a time limit. So a short probe comes first, and the
download runs in a child process (`worker`), which is ended if no more bytes arrive, or more than
the hub announced.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from distill_runner.hub.repository import Repo

PROBE_SECONDS = 3.0  # until the hub's first answer
STALL_SECONDS = 12.0  # without a new byte; leaves time for one retry of REQUEST_SECONDS
_SLACK_BYTES = 1 << 20  # beyond the announced size
REQUEST_SECONDS = 5  # limit of one request inside the hub's client, unless the user sets it


def find_hub_fault(repo: Repo) -> str | None:
    """Return why the hub cannot be reached, None if it answers; takes about PROBE_SECONDS."""
    from huggingface_hub import constants, get_session

    not_here = f"{repo.id} is in no local folder and not in the hub's cache"
    if constants.is_offline_mode():
        return f"{not_here}, and HF_HUB_OFFLINE forbids asking the hub."
    outcome = [f"no answer within {PROBE_SECONDS:g} s"]

    def probe() -> None:
        url = f"{constants.ENDPOINT}/api/{repo.kind}s/{repo.id}"
        try:
            response = get_session().head(url, timeout=PROBE_SECONDS, follow_redirects=False)
        except Exception as error:  # any error is a reason
            outcome[0] = f"{type(error).__name__}: {error}"
        else:
            broken = response.status_code >= 500
            outcome[0] = f"status {response.status_code}" if broken else ""

    # In a thread, because host name resolution ignores timeouts.
    prober = threading.Thread(target=probe, daemon=True)
    prober.start()
    prober.join(PROBE_SECONDS + 1)
    reason = outcome[0]
    return f"{not_here}, and {constants.ENDPOINT} cannot be reached ({reason})." if reason else None


def fetch(repo: Repo) -> str | None:
    """Download into the hub's cache in a child process; return the failure, or None."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    storage = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repo.id, repo_type=repo.kind)
    with tempfile.TemporaryDirectory() as scratch:
        announced = Path(scratch) / "announced"
        order = {
            "repo": asdict(repo),
            "endpoint": constants.ENDPOINT,
            "cache_dir": constants.HF_HUB_CACHE,
            "announced": str(announced),
        }
        command = [sys.executable, "-P", "-m", "distill_runner.hub.worker", json.dumps(order)]
        with subprocess.Popen(
            command,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        ) as child:
            try:
                failure = _watch(child, storage, announced)
            finally:
                child.kill()
            answer = child.stdout.read().strip() if child.stdout else ""
    if failure is not None:
        return f"{constants.ENDPOINT} {failure.format(repo.id)}"
    if child.returncode != 0 and not answer:
        return f"The download of {repo.id} ended with status {child.returncode}."
    return answer or None


def _environment() -> dict[str, str]:
    return {
        "HF_HUB_ETAG_TIMEOUT": str(REQUEST_SECONDS),
        "HF_HUB_DOWNLOAD_TIMEOUT": str(REQUEST_SECONDS),
        "HF_HUB_DISABLE_XET": "1",  # plain HTTP writes while it reads, so that a stall shows
        **os.environ,
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
    }


def _watch(child: subprocess.Popen[str], storage: Path, announced: Path) -> str | None:
    """Wait for the child while files under `storage` grow, up to the announced size.

    Returns:
        What the hub did wrong, with "{}" in place of the repository; None if the child ended.
    """
    before = _bytes_under(storage)
    size, since = -1, time.monotonic()
    while True:
        try:
            child.wait(timeout=0.1)
        except subprocess.TimeoutExpired:
            grown = _bytes_under(storage)
            if grown != size:
                size, since = grown, time.monotonic()
            elif time.monotonic() - since > STALL_SECONDS:
                return f"stopped sending {{}}: nothing for {STALL_SECONDS:g} s."
            limit = _allowed(announced)
            if limit is not None and grown - before > limit:
                child.kill()
                child.wait()
                _drop_unfinished(storage)
                return "sends more of {} than it announced: the download was ended."
            if limit is not None and limit - (grown - before) > _free(storage) + _SLACK_BYTES:
                return f"announces {limit / 1e9:.1f} GB for {{}}, more than the disk has left."
        else:
            return None


def _allowed(announced: Path) -> float | None:
    """Return the bytes that may arrive: the announced size, and a little for the cache's files."""
    if not announced.exists():
        return None
    return int(announced.read_text(encoding="ascii")) * 1.01 + _SLACK_BYTES


def _free(storage: Path) -> int:
    existing = next(folder for folder in (storage, *storage.parents) if folder.exists())
    return shutil.disk_usage(existing).free


def _drop_unfinished(storage: Path) -> None:
    """Remove partial files, from which the hub's client would resume."""
    for file in storage.rglob("*.incomplete"):
        file.unlink(missing_ok=True)


def _bytes_under(folder: Path) -> int:
    total = 0
    # The child renames and removes files meanwhile; `os.walk` skips files that are gone.
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += os.lstat(os.path.join(parent, name)).st_size
    return total
