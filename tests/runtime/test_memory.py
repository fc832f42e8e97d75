"""The peak of one stage is not the peak of the stage before."""

from __future__ import annotations

import mmap
from pathlib import Path

import pytest
import torch

from distill_runner.runtime import memory
from distill_runner.runtime.allocator import keep_freed_memory

CPU = torch.device("cpu")
LARGE = 200 << 20


def take_and_return(size: int) -> None:
    # A mapping of its own goes back to the system at once; an allocator might keep it.
    with mmap.mmap(-1, size) as block:
        for at in range(0, size, mmap.PAGESIZE):
            block[at] = 1


def test_the_peak_holds_what_was_taken_and_given_back() -> None:
    memory.reset_peak(CPU)
    before = memory.peak(CPU)
    take_and_return(LARGE)
    assert memory.peak(CPU) > before + LARGE // 2


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the system keeps no mark")
@pytest.mark.parametrize("kept", [False, True])
def test_a_new_stretch_of_work_forgets_the_peak_before(kept: bool) -> None:
    if kept:
        keep_freed_memory()
        torch.ones(LARGE // 4).sum()
    else:
        take_and_return(LARGE)
    before = memory.peak(CPU)
    memory.reset_peak(CPU)
    assert memory.peak(CPU) < before - LARGE // 2
