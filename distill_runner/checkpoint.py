"""Where a stage stood: enough to go on to the last bit, and nothing else.

Randomness is addressed, so no generator's state is kept: weights, optimisers, counters.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from distill_runner.errors import DistillError

_FIRST = 10.0  # seconds until it is known what a checkpoint costs
_SHARE = 0.01  # of the time may go into checkpoints, where they are closer than they must be

State = dict[str, Any]  # tensors, numbers, strings, and dicts and lists of them


def save(path: Path, state: State) -> None:
    """Write `state`; a kill at any moment leaves the old file or the new one, whole."""
    partial = path.with_suffix(".partial")
    try:
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
    except RuntimeError as error:  # torch's writer turns a full disk into one
        partial.unlink(missing_ok=True)
        raise DistillError(
            f"The checkpoint {path} cannot be written; is the disk full?\n"
            "  finished stages are kept, and the last checkpoint; the same command goes on"
        ) from error
    os.replace(partial, path)


def load(path: Path, device: torch.device) -> State | None:
    """The state in `path`, or None where there is no file.

    Raises:
        DistillError: the file is damaged.
    """
    if not path.exists():
        return None
    try:
        state: State = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch.load raises what its parsers raise
        raise DistillError(
            f"The checkpoint {path} cannot be read ({type(error).__name__}).\n"
            f"  try:  delete it; the stage then starts again, finished stages are kept"
        ) from error
    return state


class Pace:
    """When the next checkpoint is due: the cheaper the last one was, the sooner.

    Args:
        longest: seconds between two of them, however dear.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._after = min(longest, _FIRST)
        self._saved = time.monotonic()

    def is_due(self) -> bool:
        return time.monotonic() - self._saved > self._after

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Inside, a checkpoint is written."""
        began = time.monotonic()
        yield
        self._saved = time.monotonic()
        self._after = min(self._longest, (self._saved - began) / _SHARE)
