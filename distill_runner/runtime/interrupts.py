"""An interrupt waits until the step in flight is whole, so that the step can be kept."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# Ctrl-C, and what a cluster sends before it kills.
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """What came while steps were made."""

    def __init__(self) -> None:
        self.came = False

    def note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Put the first one off; obey a second at once."""
        if self.came:
            raise KeyboardInterrupt
        self.came = True

    def obey(self) -> None:
        """Raise what was put off, if anything came."""
        if self.came:
            raise KeyboardInterrupt


@contextmanager
def put_off() -> Iterator[Interrupts]:
    """Inside, interrupts are noted; what nobody obeyed inside is obeyed at the end.

    Raises:
        KeyboardInterrupt: one came.
    """
    interrupts = Interrupts()
    before = {}
    # Python hears signals in the main thread alone; one that is ignored stays so.
    if threading.current_thread() is threading.main_thread():
        for one in _SIGNALS:
            if signal.getsignal(one) is not signal.SIG_IGN:
                before[one] = signal.signal(one, interrupts.note)
    try:
        yield interrupts
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    interrupts.obey()
