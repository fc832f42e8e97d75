"""Freed memory kept by the process, so that the next step finds its pages in place.

A training step frees and takes the same large blocks again and again. glibc gives such
blocks back to the system each time, and the system hands out pages that must be filled
with zeros first: thousands of page faults a step.
"""

from __future__ import annotations

import ctypes
import platform

# malloc.h
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_LARGEST_BLOCKS = (1 << 30, 1 << 25)  # bytes; an older glibc takes no more than the second


def give_back_freed_memory() -> None:
    """Let glibc return what it keeps, once; other C libraries are left alone."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed blocks; returns whether it will. Other C libraries are left alone.

    The peak of memory in use stays as it is; only less is given back in between.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    # First this one: a trim threshold by itself would freeze the other at its small default.
    if not any(mallopt(_M_MMAP_THRESHOLD, size) == 1 for size in _LARGEST_BLOCKS):
        return False
    kept = mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1) == 1
    return bool(mallopt(_M_TOP_PAD, 64 << 20) == 1 and kept)
