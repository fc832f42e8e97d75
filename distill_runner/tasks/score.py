"""What a model scores on a split, and what one that knew nothing would."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from distill_runner.config.schema import Metric


@dataclass(frozen=True)
class Score:
    """The primary metric on a split with its 95% interval, and the metrics asked for.

    The primary metric of classes is accuracy, with Wilson's interval; of scores it is the first
    metric, with a bootstrapped one. Shares in 0..1; `matthews` and correlations in -1..1.
    """

    accuracy: float | None  # None: of scores
    n: int
    low: float
    high: float
    majority: float | None  # what always answering the largest class scores; None: of scores
    metrics: Mapping[str, float]  # as asked for, the first one first
    questions: int | None = None  # groups of rows, where they are ranked
    without_positive: int | None = None  # of them, those left out: nothing to be found

    @property
    def primary_metric(self) -> str:
        """The name of what `low` and `high` are of."""
        return Metric.accuracy.value if self.accuracy is not None else next(iter(self.metrics))

    @property
    def value(self) -> float:
        """The primary metric's."""
        return self.accuracy if self.accuracy is not None else self.metrics[self.primary_metric]

    def as_dict(self) -> dict[str, float | int]:
        """Flat, as `result.json` has it."""
        own: dict[str, Any] = asdict(self)
        named = own.pop("metrics")
        return {name: value for name, value in (own | named).items() if value is not None}


@dataclass(frozen=True)
class ChanceLevel:
    """Whether a model does no better than chance, and in which words."""

    reached: bool
    beside: str  # behind a teacher's score
    reason: str  # where it is refused, or warned of
    mark: str  # what it is, in a table
