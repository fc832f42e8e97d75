"""How long the models of a run take for one text, and how many they answer in a second.

They take turns, text by text and then batch by batch, so that whatever else the machine does
hits all of them. Tokenising is left out: each model's own takes far less than its answer.
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

STUDENT = "student"  # its name among the models

_TEXTS = 50  # read one by one
_BATCHES = 5
_BATCH = 64  # rows of each

Answering = Sequence[tuple[Learner, View]]  # one model, or several that answer together


def measured(models: Mapping[str, Answering], rows: int, machine: Machine) -> dict[str, Speed]:
    """Milliseconds of one text and texts a second, by model.

    Args:
        models: each with its view of the same rows.
        rows: how many there are.
    """
    texts = [np.array([at % rows]) for at in range(_TEXTS)]
    batches = [np.arange(at * _BATCH, (at + 1) * _BATCH) % rows for at in range(_BATCHES)]
    # The first of each pays for what is set up once.
    one, many = (_turns(models, [each[0], *each], machine) for each in (texts, batches))
    return {
        name: Speed(
            milliseconds=1000 * median(one[name][1:]),
            texts_per_second=_BATCH / median(many[name][1:]),
        )
        for name in models
    }


def _turns(
    models: Mapping[str, Answering], parts: Sequence[np.ndarray], machine: Machine
) -> dict[str, list[float]]:
    """Seconds of every model for each part."""
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for rows in parts:
        for name, answering in models.items():
            began = time.perf_counter()
            for learner, view in answering:
                predict(learner, view, rows=rows, device=machine.device, bf16=machine.bf16)
            seconds[name].append(time.perf_counter() - began)
    return seconds
