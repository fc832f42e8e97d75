"""The student's decision threshold, as result.json holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from distill_runner.results.calibration import Measure


@dataclass(frozen=True, kw_only=True)
class ThresholdScore:
    """The student's score on one split, with the larger probability and with the threshold."""

    before: Annotated[float, "the metric where the larger of both probabilities decides"]
    after: Annotated[float, "the metric where the threshold decides"]
    change: Annotated[Measure, "`after` minus `before`, paired over clusters of rows"]


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """The probability from which the student gives a row the second class."""

    label: Annotated[str, "the second class"]
    value: Annotated[float, "0..1, of the probability before temperature scaling"]
    metric: Annotated[str, "what it is best for on validation"]
    splits: Annotated[
        Mapping[str, ThresholdScore], "by split; validation chose it, and is no fair result"
    ]
