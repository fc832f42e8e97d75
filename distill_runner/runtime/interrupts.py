"""Defers interrupts until the current training step is complete, so that it can be saved."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# Ctrl-C, and the signal that a cluster sends before it kills a job.
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Records an interrupt that arrives during a step."""

    def __init__(self) -> None:
        self.pending = False

    def note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Handle a signal: defer the first interrupt, raise the second."""
        if self.pending:
            raise KeyboardInterrupt
        self.pending = True

    def raise_pending(self) -> None:
        """Raise the deferred interrupt, if there is one.

        Raises:
            KeyboardInterrupt: an interrupt arrived.
        """
        if self.pending:
            raise KeyboardInterrupt


@contextmanager
def defer_interrupts() -> Iterator[Interrupts]:
    """Defer SIGINT and SIGTERM inside the block, and raise them at its end.

    Raises:
        KeyboardInterrupt: an interrupt arrived and was not raised inside the block.
    """
    interrupts = Interrupts()
    before = {}
    # Only the main thread may set handlers; an ignored signal stays ignored.
    if threading.current_thread() is threading.main_thread():
        for one in _SIGNALS:
            if signal.getsignal(one) is not signal.SIG_IGN:
                before[one] = signal.signal(one, interrupts.note)
    try:
        yield interrupts
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    interrupts.raise_pending()
