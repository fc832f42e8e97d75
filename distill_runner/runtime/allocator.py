"""Keeps freed memory in the process, so that the next training step can reuse its pages.

A training step frees and allocates the same large blocks again and again. By default glibc
returns such blocks to the system each time, and the system must zero the pages before it hands
them out again: thousands of page faults per step.
"""

from __future__ import annotations

import ctypes
import platform

# malloc.h
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_LARGEST_BLOCKS = (1 << 30, 1 << 25)  # bytes; older versions of glibc reject the first


def give_back_freed_memory() -> None:
    """Make glibc return its free memory to the system once; does nothing on other C libraries."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed blocks; does nothing on other C libraries.

    Peak memory does not change; between peaks less memory goes back to the system.

    Returns:
        Whether glibc accepted every setting.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    # Set this threshold first: setting any other freezes it at its small default.
    if not any(mallopt(_M_MMAP_THRESHOLD, size) == 1 for size in _LARGEST_BLOCKS):
        return False
    kept = mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1) == 1
    return bool(mallopt(_M_TOP_PAD, 64 << 20) == 1 and kept)
