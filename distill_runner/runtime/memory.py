"""The most memory that a stretch of work takes: of the card on a GPU, of the process on a CPU."""

from __future__ import annotations

import re
import resource
import sys
from contextlib import suppress
from pathlib import Path

import torch

from distill_runner.runtime.allocator import give_back_freed_memory

_SELF = Path("/proc/self")


def forget_peak(device: torch.device) -> None:
    """Begin a stretch of work. Where a CPU's system keeps no such mark, the process began it."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    give_back_freed_memory()  # what an earlier stretch freed is none of this one's
    with suppress(OSError):
        (_SELF / "clear_refs").write_text("5", encoding="ascii")  # see proc_pid_clear_refs(5)


def peak(device: torch.device) -> int:
    """The most memory in use since `forget_peak`. Bytes."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    with suppress(OSError):
        found = re.search(r"VmHWM:\s*(\d+) kB", (_SELF / "status").read_text(encoding="ascii"))
        if found:
            return int(found[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
