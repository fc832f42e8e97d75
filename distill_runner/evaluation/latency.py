"""Measures the latency of one text, and the texts per second, of the models of a run.

The models take turns, text by text and then batch by batch, so that any other load on the
machine slows all of them alike. Tokenising is not timed: it takes far less than the forward pass.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from statistics import median

import numpy as np

from distill_runner.data.encoding import View
from distill_runner.evaluation.predict import predict
from distill_runner.models.learner import Learner
from distill_runner.results.measurements import Speed
from distill_runner.runtime.machine import Machine

STUDENT = "student"  # the student's name among the models

_TEXTS = 50  # read one by one
_BATCHES = 5
_BATCH = 64  # rows in each

Answering = Sequence[tuple[Learner, View]]  # one model, or several that predict together


def measure(models: Mapping[str, Answering], rows: int, machine: Machine) -> dict[str, Speed]:
    """Return milliseconds per text and texts per second, by model.

    Args:
        models: the learners that predict together, each with its view of the same rows.
        rows: number of those rows, 1 or more.
    """
    texts = [np.array([at % rows]) for at in range(_TEXTS)]
    batches = [np.arange(at * _BATCH, (at + 1) * _BATCH) % rows for at in range(_BATCHES)]
    # The first text and the first batch are a warm-up and are not counted.
    one, many = (_time_turns(models, [each[0], *each], machine) for each in (texts, batches))
    return {
        name: Speed(
            milliseconds=1000 * median(one[name][1:]),
            texts_per_second=_BATCH / median(many[name][1:]),
        )
        for name in models
    }


def _time_turns(
    models: Mapping[str, Answering], parts: Sequence[np.ndarray], machine: Machine
) -> dict[str, list[float]]:
    """Return the seconds that every model takes for each part."""
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for rows in parts:
        for name, answering in models.items():
            began = time.perf_counter()
            for learner, view in answering:
                predict(learner, view, rows=rows, device=machine.device, bf16=machine.bf16)
            seconds[name].append(time.perf_counter() - began)
    return seconds
