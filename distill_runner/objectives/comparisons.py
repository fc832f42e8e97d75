"""The quantities that a soft loss compares; imports no torch, so that planning can read it."""

from __future__ import annotations

DISTRIBUTIONS = "distributions"
RAW_LOGITS = "raw logits"
SIGMOIDS = "sigmoids"
