"""How the answers of models on the same rows compare: by accuracy, or as scores.

Answers are logits, [rows, classes]; one column is a score, and the measure its main metric.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from distill_runner.config.schema import Dataset, Metric, Task
from distill_runner.evaluation.intervals import Interval, bootstrap_interval, paired_rows_interval
from distill_runner.evaluation.metrics import OF_SCORES


def primary_metric(settings: Dataset) -> Metric:
    """What models on this data are compared by: accuracy, of scores the main metric."""
    regression = settings.task is Task.regression
    return settings.metrics[0] if regression else Metric.accuracy


@dataclass(frozen=True)
class Measure:
    """Compares answers by one metric: `primary_metric`'s."""

    metric: Metric

    @property
    def name(self) -> str:
        """The metric's name."""
        return self.metric.value

    @property
    def of_scores(self) -> bool:
        """Whether the metric compares scores rather than classes."""
        return self.metric in OF_SCORES

    def worth(self, answers: np.ndarray, labels: np.ndarray) -> float:
        """The share of right answers, or the correlation with the labels."""
        if self.of_scores:
            return float(OF_SCORES[self.metric](_scores(answers), labels.astype(float)))
        return float(_right(answers, labels).mean())

    def lead(self, ours: np.ndarray, theirs: np.ndarray, labels: np.ndarray) -> Interval:
        """Of how much more ours are worth than theirs, paired over the rows."""
        if not self.of_scores:
            return paired_rows_interval(_right(ours, labels), _right(theirs, labels))
        correlation = OF_SCORES[self.metric]
        return bootstrap_interval(
            lambda ours, theirs, labels: correlation(ours, labels) - correlation(theirs, labels),
            _scores(ours),
            _scores(theirs),
            labels.astype(float),
        )

    def alike(self, ours: np.ndarray, theirs: np.ndarray) -> float:
        """The share of rows with the same answer, or the correlation of the two."""
        if self.of_scores:
            return float(OF_SCORES[self.metric](_scores(ours), _scores(theirs)))
        return float((ours.argmax(axis=-1) == theirs.argmax(axis=-1)).mean())


def _right(answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.asarray(answers.argmax(axis=-1) == labels)


def _scores(answers: np.ndarray) -> np.ndarray:
    return answers[:, 0].astype(float)
