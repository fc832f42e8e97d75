"""Holds the request for an export."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Wanted:
    """What to export.

    Attributes:
        onnx, int8: ONNX files, plain and quantised.
        vocabulary: the texts that a smaller vocabulary is cut to: `train` or FILE:COLUMN; None
            leaves it whole.
        at_least: how often a token must occur in them to stay.
    """

    onnx: bool
    int8: bool
    vocabulary: str | None = None
    at_least: int = 1
