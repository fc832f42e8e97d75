"""Finds the script that answers texts with an export, and is copied into it."""

from __future__ import annotations

from pathlib import Path

from distill_runner.errors import Refused

SCRIPT = "serve_onnx.py"


def script_path() -> Path:
    """Return `examples/serve_onnx.py`: inside the package in a wheel, next to it in a checkout.

    Raises:
        Refused: neither is there.
    """
    here = Path(__file__).resolve().parents[1]
    for folder in (here, here.parent):
        if (folder / "examples" / SCRIPT).is_file():
            return folder / "examples" / SCRIPT
    raise Refused(f"This installation has no {SCRIPT}.", way_out="install distill-run again")
