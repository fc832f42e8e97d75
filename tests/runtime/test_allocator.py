"""Freed memory is kept where the C library can, and other libraries are left alone."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from distill_runner.runtime.allocator import keep_freed_memory

# Page faults of taking and freeing a block of 40 MB over and over, without and with.
_FAULTS = """
import ctypes, resource, sys
from distill_runner.runtime.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
libc, size = ctypes.CDLL(None), 40 << 20
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes, libc.free.argtypes = [ctypes.c_size_t], [ctypes.c_void_p]
for _ in range(20):
    block = libc.malloc(size)
    ctypes.memset(block, 1, size)
    libc.free(block)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_a_block_taken_again_costs_no_page_faults() -> None:
    def faults(mode: str) -> int:
        command = [sys.executable, "-c", _FAULTS, mode]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    pages = (40 << 20) // 4096
    assert faults("leave") - faults("keep") > 10 * pages


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert keep_freed_memory() is False
