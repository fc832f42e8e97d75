"""Defines the points of a search: student shapes, the forms they are deployed in, their figures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from distill_runner.config.schema import Budget
from distill_runner.evaluation.metrics.intervals import Interval

MEGABYTE = 1e6
TORCH = "torch"


@dataclass(frozen=True)
class Variant:
    """One student to train.

    Attributes:
        layers: transformer layers; 0: a static student.
        max_tokens: longer texts are cut to so many tokens.
    """

    layers: int
    max_tokens: int

    @property
    def is_static(self) -> bool:
        """Whether it has no transformer layer."""
        return self.layers == 0

    @property
    def shape(self) -> str:
        """Its layers in words."""
        return "static" if self.is_static else f"{self.layers} layer{'s' * (self.layers > 1)}"

    @property
    def folder(self) -> str:
        """Name of its folder, unique in a search."""
        return f"{self.shape.replace(' ', '-')}-{self.max_tokens}-tokens"


@dataclass(frozen=True)
class Cost:
    """What a form of a student needs to answer.

    Attributes:
        p50, p95: milliseconds for one text at a time on one thread, tokenising included.
        size: bytes of all files that answering needs.
    """

    p50: float
    p95: float
    size: int

    @property
    def megabytes(self) -> float:
        """The size in megabytes."""
        return self.size / MEGABYTE

    def fits(self, budget: Budget) -> bool:
        """Return whether it is within the budget."""
        in_time = budget.ms is None or self.p95 <= budget.ms
        return in_time and (budget.mb is None or self.megabytes <= budget.mb)

    def excess(self, budget: Budget) -> float:
        """Return by which factor it exceeds the tighter limit; at most 1 if it fits."""
        in_time = 0.0 if budget.ms is None else self.p95 / budget.ms
        return max(in_time, 0.0 if budget.mb is None else self.megabytes / budget.mb)


@dataclass(frozen=True)
class Point:
    """A student in one form, and its cost."""

    variant: Variant
    form: str
    cost: Cost

    @property
    def name(self) -> str:
        """Its name, unique in a search."""
        return name_point(self.variant, self.form)

    @property
    def title(self) -> str:
        """Its name for a sentence."""
        return f"{self.variant.shape}, {self.form}"

    @property
    def runtime(self) -> str:
        """The library that answers."""
        return "onnxruntime" if self.form.endswith(("ONNX", "int8")) else TORCH


def name_point(variant: Variant, form: str) -> str:
    """Name a student in one form, uniquely in a search."""
    return f"{variant.folder}/{form}"


@dataclass(frozen=True)
class Trained:
    """A trained point and its score on validation, which chooses and so is no result.

    Attributes:
        score: the primary metric.
        logits: [rows of validation, outputs].
    """

    point: Point
    score: float
    logits: np.ndarray


@dataclass(frozen=True)
class Dropped:
    """A student that was not trained to its end.

    Attributes:
        rung: the round after which it was dropped, from 1; 0: before any training.
        score: its primary metric on validation after that round; None before any.
        because: why.
    """

    variant: Variant
    rung: int
    score: float | None
    because: str


@dataclass(frozen=True)
class Finalist:
    """A finalist on the test rows.

    Attributes:
        score, interval: the primary metric with its 95% interval over clusters of rows.
        lead: the paired difference from the teachers together, and its 95% interval.
        p_value: of "worse than the teachers by the margin or more", adjusted (Holm).
        is_no_worse: whether that is rejected at 5%.
    """

    trained: Trained
    score: float
    interval: Interval
    lead: float
    lead_interval: Interval
    p_value: float
    is_no_worse: bool
    logits: np.ndarray

    @property
    def point(self) -> Point:
        """The student in its form."""
        return self.trained.point
