"""Measures peak memory: of the device on a GPU, of the process on a CPU."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import torch

from distill_runner.runtime.allocator import give_back_freed_memory
from distill_runner.runtime.process_memory import peak_of_process

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
    return peak_of_process()
