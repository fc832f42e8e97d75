"""Measures peak memory: of the device on a GPU, of the process on a CPU."""

from __future__ import annotations

import re
import resource
import sys
from contextlib import suppress
from pathlib import Path

import torch

from distill_runner.runtime.allocator import give_back_freed_memory

_SELF = Path("/proc/self")


def reset_peak(device: torch.device) -> None:
    """Start a new measurement; if the system cannot reset the peak, it covers the process."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    give_back_freed_memory()  # memory freed earlier must not count
    with suppress(OSError):
        (_SELF / "clear_refs").write_text("5", encoding="ascii")  # see proc_pid_clear_refs(5)


def peak(device: torch.device) -> int:
    """Return the peak memory in use since `reset_peak`, in bytes."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    with suppress(OSError):
        found = re.search(r"VmHWM:\s*(\d+) kB", (_SELF / "status").read_text(encoding="ascii"))
        if found:
            return int(found[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
