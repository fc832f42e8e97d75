"""Where a stage stood: enough to go on to the last bit, and nothing else.

Randomness is addressed, so no generator's state is kept: weights, optimisers, counters.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from distill_runner.errors import DistillError

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
