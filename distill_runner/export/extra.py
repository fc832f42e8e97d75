"""Refuses an export as long as the packages of `distill-run[export]` are not installed."""

from __future__ import annotations

from importlib.util import find_spec

from distill_runner.errors import Refused

PACKAGES = ("onnx", "onnxruntime", "onnxscript")


def check_installed() -> None:
    """Refuse to go on without the packages that write and run ONNX.

    Raises:
        Refused: one of them is missing; names all that are.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise Refused(
            f"ONNX needs packages that are not installed: {', '.join(missing)}.",
            key="export",
            value=missing,
            rule="the packages of the extra `export`",
            way_out='pip install "distill-run[export]"',
        )
