"""An interrupt waits until the step in flight is whole, so that the step can be kept."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

# Ctrl-C, and what a cluster sends before it kills.
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Inside, the first interrupt is noted; a second one is obeyed at once."""

    def __init__(self) -> None:
        self.came = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        # Python hears signals in the main thread alone; one that is ignored stays so.
        if threading.current_thread() is threading.main_thread():
            for one in _SIGNALS:
                if signal.getsignal(one) is not signal.SIG_IGN:
                    self._before[one] = signal.signal(one, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for one, handler in self._before.items():
            signal.signal(one, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self.came:
            raise KeyboardInterrupt
        self.came = True

    def obey(self) -> None:
        """Raise what was put off, if anything came."""
        if self.came:
            raise KeyboardInterrupt
