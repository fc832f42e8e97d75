"""Records what a result was computed with: the code's commit, the packages, the processor.

Nothing personal is recorded: no environment variables, and no paths.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch

from distill_runner.results.origins import Checkout, Surroundings

_CHECKOUT = Path(__file__).resolve().parents[2]
_GIT_SECONDS = 10.0


@cache
def surroundings() -> Surroundings:
    """Return what training depends on besides its settings; computed once per process."""
    packages = installed()
    return Surroundings(
        distill_run=packages.get("distill-run"),
        git=checkout(_CHECKOUT),
        instruction_set=torch.backends.cpu.get_cpu_capability(),
        processor=processor(),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        packages=packages,
    )


def installed() -> dict[str, str]:
    """Return the version of every installed package, by name."""
    found = {
        str(package.metadata["Name"]): package.version
        for package in importlib.metadata.distributions()
        if package.metadata["Name"]
    }
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def checkout(folder: Path) -> Checkout | None:
    """Return the commit checked out in `folder`, and whether its files differ from it.

    None if `folder` is not the root of a checkout, or if git fails.
    """
    if not (folder / ".git").exists():
        return None
    commit, changes = _git(folder, "rev-parse", "HEAD"), _git(folder, "status", "--porcelain")
    if commit is None or changes is None:
        return None
    return Checkout(commit=commit, dirty=bool(changes))


def _git(folder: Path, *arguments: str) -> str | None:
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_GIT_SECONDS,
            check=True,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
        return done.stdout.strip()
    return None


def processor() -> str:
    """Return the processor's name as the system reports it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
