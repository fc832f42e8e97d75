"""Downloads into the hub's cache, as a child process.

`python -m distill_runner.hub.worker ORDER` prints one sentence on failure, otherwise nothing.
"""

from __future__ import annotations

import glob
import json
import os
import sys
import threading
import time
from contextlib import redirect_stdout
from pathlib import Path

from distill_runner.hub.repository import Repo, Unfit, wanted_files


def _download(repo: Repo, *, endpoint: str, cache_dir: str, announced: Path) -> str:
    """Download the wanted files of `repo`; return one sentence on failure, otherwise "".

    First writes the size that the hub announces, in bytes, to `announced`.
    """
    from huggingface_hub import HfApi, constants, snapshot_download
    from huggingface_hub.hf_api import RepoFile

    constants.DOWNLOAD_CHUNK_SIZE = 2**16  # small pieces show a slow download's growth
    try:
        tree = HfApi(endpoint=endpoint).list_repo_tree(repo.id, recursive=True, repo_type=repo.kind)
        sizes = {file.path: file.size for file in tree if isinstance(file, RepoFile)}
        wanted = wanted_files(repo, sizes)
        _tell(announced, sum(sizes[name] for name in wanted))
        snapshot_download(
            repo.id,
            repo_type=repo.kind,
            endpoint=endpoint,
            cache_dir=cache_dir,
            allow_patterns=[glob.escape(name) for name in wanted],
        )
    except Unfit as error:
        return f"{repo.id} on {endpoint} {error}."
    except Exception as error:  # the parent turns it into a refusal
        return _explain(error, repo, endpoint)
    return ""


def _tell(announced: Path, size: int) -> None:
    """Write the size and rename the file into place, so that a reader never sees half of it."""
    partial = announced.with_suffix(".partial")
    partial.write_text(str(size), encoding="ascii")
    os.replace(partial, announced)


def _explain(error: BaseException, repo: Repo, endpoint: str) -> str:
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError

    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, HfHubHTTPError):
        cause = cause.__cause__
    status = cause.response.status_code if isinstance(cause, HfHubHTTPError) else None
    if isinstance(cause, GatedRepoError):
        return (
            f"{repo.id} on {endpoint} is gated: ask for access there, "
            "then set HF_TOKEN to a token of that account."
        )
    if status in {401, 403}:
        # The hub answers the same for ids that do not exist, so as not to reveal private ones.
        return (
            f"{endpoint} refuses access to {repo.id} (status {status}): the id is wrong, "
            "or the repository is private and HF_TOKEN must hold a token that can read it."
        )
    if status == 404:
        return f"{endpoint} knows no {repo.kind} {repo.id!r}."
    reason = " ".join(str(error).split()) or "no reason given"
    return f"{repo.id} could not be fetched from {endpoint} ({type(error).__name__}: {reason})."


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def main() -> None:
    """Carry out the order in `sys.argv`, and print the failure, if any."""
    order = json.loads(sys.argv[1])
    # If the parent is killed, it cannot end this process, and a silent hub would keep it alive.
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    repo = Repo(**order["repo"])
    with redirect_stdout(sys.stderr):  # stdout is only for the failure
        failure = _download(
            repo,
            endpoint=order["endpoint"],
            cache_dir=order["cache_dir"],
            announced=Path(order["announced"]),
        )
    print(failure)


if __name__ == "__main__":
    main()
