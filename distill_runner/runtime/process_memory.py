"""Reads the peak of this process's resident memory; imports no torch."""

from __future__ import annotations

import re
import resource
import sys
from contextlib import suppress
from pathlib import Path


def peak_of_process() -> int:
    """Return the largest resident memory that the process has had, in bytes."""
    with suppress(OSError):
        status = Path("/proc/self/status").read_text(encoding="ascii")
        if found := re.search(r"VmHWM:\s*(\d+) kB", status):
            return int(found[1]) * 1024
    # In KiB, except on macOS; Linux would count what the parent had before this program began.
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
