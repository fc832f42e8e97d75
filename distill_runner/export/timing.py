"""Times the forms of a student in turns: one text at a time, and in batches, with tokenising.

The forms take turns text by text, each round in another order, so that any other load on the
machine slows all of them alike. Every form has one thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from distill_runner.serving.texts import Text

Answering = Callable[[Sequence[Text]], np.ndarray]  # texts -> logits, [rows, classes]

_TEXTS = 200  # read one by one
_BATCHES = 6
BATCH = 64  # texts in each


@dataclass(frozen=True)
class Times:
    """Speed of one form, with tokenising.

    Attributes:
        p50, p95: milliseconds for one text, the median and the 95th percentile.
        rows_per_second: in batches of `BATCH` texts, the median.
    """

    p50: float
    p95: float
    rows_per_second: float


def measure(forms: Mapping[str, Answering], texts: Sequence[Text]) -> dict[str, Times]:
    """Time every form on the same texts.

    Args:
        forms: by name.
        texts: one or more, read again from the first where there are too few.
    """
    single = [[texts[at % len(texts)]] for at in range(_TEXTS)]
    batches = [
        [texts[(at * BATCH + row) % len(texts)] for row in range(BATCH)] for at in range(_BATCHES)
    ]
    with _one_thread():
        one, many = _time_turns(forms, single), _time_turns(forms, batches)
    return {
        name: Times(
            p50=1000 * float(np.percentile(one[name], 50)),
            p95=1000 * float(np.percentile(one[name], 95)),
            rows_per_second=BATCH / float(np.median(many[name])),
        )
        for name in forms
    }


def _time_turns(
    forms: Mapping[str, Answering], parts: Sequence[Sequence[Text]]
) -> dict[str, list[float]]:
    """Return the seconds that every form takes for each part; a first one warms them up."""
    seconds: dict[str, list[float]] = {name: [] for name in forms}
    names = list(forms)
    for name in names:
        forms[name](parts[0])
    for at, part in enumerate(parts):
        for name in names[at % len(names) :] + names[: at % len(names)]:
            began = time.perf_counter()
            forms[name](part)
            seconds[name].append(time.perf_counter() - began)
    return seconds


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
