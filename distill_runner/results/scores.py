"""Scores and differences of scores, as result.json holds them.

Shares lie in 0..1, correlations in -1..1; every interval is a 95% interval.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from distill_runner.results.typed_json import INLINE


@dataclass(frozen=True, kw_only=True)
class Score:
    """A model's scores on one split; `score["macro_f1"]` is the value of one metric."""

    primary_metric: Annotated[str, "the metric that `low` and `high` belong to"]
    n: Annotated[int, "rows scored"]
    clusters: Annotated[int, "clusters of them: rows that share text or a group"]
    effective_n: Annotated[
        float | None,
        "independent rows that the interval of a share counts; null for other metrics",
    ]
    low: Annotated[float, "lower end of the 95% interval of the primary metric"]
    high: Annotated[float, "upper end of it"]
    majority: Annotated[
        float | None,
        "accuracy of always predicting the largest class; null without classes",
    ]
    questions: Annotated[int | None, "groups of rows, if a metric ranks the rows of a group"]
    without_positive: Annotated[
        int | None, "groups left out of the ranking because no row in them has class 1"
    ]
    metrics: Annotated[
        Mapping[str, float],
        "each metric of `dataset.metrics` and the primary metric, by name; "
        "a share in 0..1, or a correlation in -1..1",
        INLINE,
    ]

    @property
    def value(self) -> float:
        """The value of the primary metric."""
        return self.metrics[self.primary_metric]

    def __getitem__(self, metric: str) -> float:
        return self.metrics[metric]


Scores = Mapping[str, Score]  # by split


@dataclass(frozen=True, kw_only=True)
class GoldenHeadScore(Score):
    """The scores of a student's golden head without its soft heads."""

    same_answers: Annotated[
        float,
        "agreement with all heads together: share of rows with the same prediction, "
        "or the correlation of the outputs",
    ]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A difference between two models on the same rows, paired over clusters of them."""

    difference: Annotated[float, "first model minus second, in the unit of the metric"]
    low: Annotated[float, "lower end of the paired 95% interval"]
    high: Annotated[float, "upper end of it"]


@dataclass(frozen=True, kw_only=True)
class RankingDifference(Difference):
    """A difference in a ranking metric, paired over the groups."""

    groups: Annotated[int, "groups that the interval is computed over"]


@dataclass(frozen=True, kw_only=True)
class Gain(Difference):
    """The student's lead in the primary metric over the same student without a teacher."""

    transferred: Annotated[
        float | None,
        "the gain as a share of the teachers' lead over the baseline; null if that lead is not "
        "significant",
    ]
    ranking: Annotated[
        Mapping[str, RankingDifference | None],
        "the gain in each ranking metric; null if fewer than two groups can be ranked",
    ]


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far the student agrees with its teachers, as they were before its stage."""

    with_teachers: Annotated[
        float,
        "share of rows with the same prediction by student and joined teachers, or the "
        "correlation of their outputs",
    ]
    teachers_score: Annotated[float, "primary metric of the joined teachers"]
