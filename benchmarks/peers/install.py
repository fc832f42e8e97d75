"""Finds the packages that only peers need, or installs them into a separate folder."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path

from distill_runner.errors import Refused

# The packages that each peer needs beyond our dependencies. TextBrewer ships as source only.
_TEXTBREWER = {"textbrewer": "textbrewer==0.2.1"}
_TRAINER = {"psutil": "psutil==7.2.2", "accelerate": "accelerate==1.15.0"}


def needs_of(contender: str) -> dict[str, str]:
    """Return module → requirement for what a contender imports beyond our dependencies."""
    if contender.startswith("textbrewer"):
        return _TEXTBREWER
    return _TRAINER if contender.startswith("trainer") else {}


def provide(contenders: tuple[str, ...], folder: Path, textbrewer_path: str | None) -> None:
    """Make the contenders' packages importable, and install those that are missing.

    Args:
        contenders: names from `options.RACES`.
        folder: where packages are installed, apart from ours.
        textbrewer_path: a folder that contains the package textbrewer.

    Raises:
        Refused: a package is missing and cannot be installed.
    """
    # Last on the path: a peer's dependencies must not shadow ours.
    sys.path.extend([*([textbrewer_path] if textbrewer_path else []), str(folder)])
    for contender in contenders:
        for module, requirement in needs_of(contender).items():
            importlib.invalidate_caches()
            if importlib.util.find_spec(module) is None:
                _install(contender, requirement, folder)


def _install(contender: str, requirement: str, folder: Path) -> None:
    print(f"Installing {requirement} into {folder}", file=sys.stderr)
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--target", str(folder)]
    done = subprocess.run(
        [*command, "-qq", "--disable-pip-version-check", requirement],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["pip says nothing"])[-1]
        way_out = "--textbrewer-path DIR with the package's source, or " * (
            contender.startswith("textbrewer")
        )
        raise Refused(
            f"{requirement} cannot be installed: {reason}",
            key="--against",
            value=contender,
            rule=f"{requirement} importable, or an index that pip reaches",
            way_out=f"{way_out}--against without {contender}",
        )
    importlib.invalidate_caches()
