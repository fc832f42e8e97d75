"""Defines the interface of a contender in a race, and the protocol for taking turns."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Hashable
from dataclasses import asdict, dataclass
from typing import TextIO

import numpy as np
import torch

from benchmarks.sampling import Batch, chunk_of, count_tokens, offsets_of
from distill_runner.runtime import memory


@dataclass(frozen=True)
class Facts:
    """A contender's figures apart from its steps, measured on all rows."""

    rows: int
    steps_per_epoch: int
    tokenise_seconds: float  # once
    teacher_seconds: float  # once; 0 if the teacher runs in every step, or there is none
    order_seconds: float  # per epoch
    tokens: int  # in the sentences of an epoch
    padded: int  # in the padded batches of an epoch


class Gate:
    """Waits until the parent requests the next chunk, and reports its timing."""

    def __init__(self, asks: TextIO, answers: TextIO) -> None:
        self._asks = asks
        self._answers = answers
        self._began = (0.0, 0.0)

    def wait(self) -> None:
        """Wait for the next turn and start its clock."""
        if not self._asks.readline():
            raise SystemExit(0)
        memory.reset_peak(torch.device("cpu"))
        self._began = (time.perf_counter(), time.process_time())

    def stay(self) -> None:
        """Wait until all turns are over, so that no process exits during another's turn."""
        while self._asks.readline():
            pass

    def report(self, batches: list[Batch]) -> None:
        """Stop the clock and report the result."""
        wall, processor = time.perf_counter(), time.process_time()
        self.answer(
            {
                "seconds": wall - self._began[0],
                "cpu_seconds": processor - self._began[1],
                "steps": len(batches),
                "rows": sum(len(batch.rows) for batch in batches),
                "tokens": sum(batch.tokens for batch in batches),
                "padded": sum(batch.padded for batch in batches),
                "peak_bytes": memory.peak(torch.device("cpu")),
            }
        )

    def answer(self, value: dict[str, object]) -> None:
        self._answers.write(json.dumps(value) + "\n")
        self._answers.flush()


class Contender(ABC):
    """An implementation that makes optimiser steps on the same rows as the others.

    Attributes:
        lengths: [rows], tokens of each training row.
        width: tokens that every row is padded to; None pads to a batch's longest row.
        packed: whether rows are read without padding.
    """

    lengths: np.ndarray
    width: int | None = None
    packed: bool = False

    @abstractmethod
    def epoch(self, epoch: int) -> list[np.ndarray]:
        """Return the rows of each batch of an epoch, in this contender's order."""

    @abstractmethod
    def step(self, batches: list[Batch]) -> None:
        """Make one optimiser step on each batch."""

    @abstractmethod
    def once(self) -> tuple[float, float]:
        """Return the seconds for tokenising all rows, and for the teachers' pass over them."""

    def shape(self, batch: Batch) -> Hashable:
        """Return what two batches must have in common for one to warm up the other."""
        return batch.padded

    def chunks(self, rounds: int, steps: int) -> list[list[Batch]]:
        """Return the chunks: one that warms up every shape of the others, then the timed ones.

        Together the timed chunks are spread evenly over the costs of an epoch's batches, and
        each has cheap and expensive batches.
        """
        timed = [
            chunk_of(
                number,
                self.epoch(number),
                self.lengths,
                width=self.width,
                offsets=offsets_of(number, rounds=rounds, count=steps),
                packed=self.packed,
            )
            for number in range(rounds)
        ]
        shapes = {self.shape(batch): batch for chunk in timed for batch in chunk}
        return [list(shapes.values()), *timed]

    def facts(self) -> Facts:
        """Measure everything that is not a step."""
        began = time.perf_counter()
        order = self.epoch(0)
        order_seconds = time.perf_counter() - began
        tokenise_seconds, teacher_seconds = self.once()
        return Facts(
            rows=len(self.lengths),
            steps_per_epoch=len(order),
            tokenise_seconds=tokenise_seconds,
            teacher_seconds=teacher_seconds,
            order_seconds=order_seconds,
            tokens=int(self.lengths.sum()),
            padded=sum(
                count_tokens(self.lengths[rows], self.width, packed=self.packed) for rows in order
            ),
        )

    def race(self, gate: Gate, *, rounds: int, steps: int) -> None:
        """Report the facts, then take turns until all chunks are done."""
        gate.answer({"ready": asdict(self.facts())})
        for batches in self.chunks(rounds, steps):
            gate.wait()
            self.step(batches)
            gate.report(batches)
        gate.stay()
