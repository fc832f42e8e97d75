"""The calibration of a run's models, as result.json holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

# The names of the models.
TOGETHER, BASELINE, STUDENT = "teachers together", "no teacher", "student"


def name_teacher(teacher: str) -> str:
    """Return a teacher's name among the models."""
    return f"teacher {teacher}"


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A figure with its 95% interval over clusters of rows."""

    value: Annotated[float, "the figure"]
    low: Annotated[float | None, "lower end; null if all rows are one cluster"]
    high: Annotated[float | None, "upper end; null if all rows are one cluster"]


@dataclass(frozen=True, kw_only=True)
class ProbabilityScores:
    """The scores of probabilities; 0 is best."""

    ece: Annotated[
        Measure,
        "expected calibration error, 0..1, in 15 equal-mass bins of the predicted class's "
        "probability; of several labels the mean of each one's. The interval is that of the error "
        "on all rows that could have been drawn",
    ]
    ece_if_exact: Annotated[
        float, "the error that exact probabilities of these sizes would show on as many rows"
    ]
    brier: Annotated[
        Measure, "squared distance, summed over the classes, 0..2; of several labels the mean"
    ]
    nll: Annotated[Measure, "negative log-likelihood in nats; of several labels the mean"]


@dataclass(frozen=True, kw_only=True)
class SplitCalibration:
    """The probabilities of one model on one split."""

    n: Annotated[int, "rows scored"]
    clusters: Annotated[int, "clusters of them"]
    before: Annotated[ProbabilityScores, "as the model gives them"]
    after: Annotated[ProbabilityScores | None, "after scaling; null if nothing was fitted"]
    nll_change: Annotated[
        Measure | None, "`nll` after minus before, paired; null if nothing was fitted"
    ]


@dataclass(frozen=True, kw_only=True)
class LabelTemperature:
    """The number that logits are divided by."""

    label: Annotated[str | None, "the label that it belongs to; null: to all classes"]
    value: Annotated[float, "T above 0; 1 if it was not fitted"]
    not_fitted: Annotated[str | None, "why it was not fitted; null if it was"]


@dataclass(frozen=True, kw_only=True)
class ModelCalibration:
    """A model's temperatures, and its probabilities with and without them."""

    temperatures: Annotated[
        tuple[LabelTemperature, ...], "one, or one for each label in the order of `classes`"
    ]
    splits: Annotated[Mapping[str, SplitCalibration], "test and the extra splits, by name"]

    @property
    def values(self) -> tuple[float, ...]:
        """The temperatures: one for all classes, or one for each label."""
        return tuple(one.value for one in self.temperatures)

    @property
    def fitted(self) -> bool:
        """Whether a temperature was fitted."""
        return any(one.not_fitted is None for one in self.temperatures)


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Temperatures, fitted on the validation rows and judged on the others."""

    validation_rows: Annotated[int, "rows that the temperatures are fitted on"]
    models: Annotated[
        Mapping[str, ModelCalibration],
        "`teacher NAME`, `teachers together` (after joining), `no teacher` and `student`",
    ]

    @property
    def student(self) -> ModelCalibration:
        """The student, whose temperatures its predicted probabilities have."""
        return self.models[STUDENT]
