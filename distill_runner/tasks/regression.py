"""Regression: a score for each row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from torch import Tensor

from distill_runner.config.schema import Combine, Dataset, Metric, TaskKind
from distill_runner.data.readers.label_reader import LabelReader
from distill_runner.data.readers.scores import ScoreLabels, check_spread
from distill_runner.errors import Refused
from distill_runner.evaluation.metrics.calibration import Forecast
from distill_runner.evaluation.metrics.clusters import contributions
from distill_runner.evaluation.metrics.correlations import CORRELATIONS, correlation_metrics
from distill_runner.evaluation.metrics.estimate import interval_over_clusters
from distill_runner.evaluation.metrics.temperature import Temperature
from distill_runner.objectives.logits import squared_error
from distill_runner.results.scores import Score
from distill_runner.tasks.base import Array, ChanceLevel, Prediction, Task, scored_splits
from distill_runner.tasks.given_answers import ScoreAnswers
from distill_runner.tasks.rules import TaskRules, rules_of

if TYPE_CHECKING:
    import datasets


@dataclass(frozen=True)
class Regression(ScoreAnswers, Task):
    """One output, squared error, correlation."""

    rules: ClassVar[TaskRules] = rules_of(TaskKind.regression)
    hard_name: ClassVar[str] = "MSE"
    problem_type: ClassVar[str | None] = "regression"
    label_type: ClassVar[str] = "float32"
    stratified: ClassVar[bool] = False
    mean_of_models: ClassVar[Combine] = Combine.logit_mean

    metrics: tuple[Metric, ...] = (Metric.pearson, Metric.spearman)

    def check_outputs(self, outputs: int, *, name: str) -> None:
        if outputs != 1:
            raise Refused(
                f"{name} has {outputs} outputs.",
                key="dataset.task",
                value="regression",
                rule="one output for a score, one for each class",
                way_out="teacher.finetune=always, or another teacher",
            )

    def hard_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return squared_error(logits, labels)

    def joint_logits(self, logits: Tensor) -> Tensor:
        return logits.mean(0)

    def mean_probabilities(self, *_: object) -> Tensor:
        raise RuntimeError("scores have no probabilities to average")

    def predict(self, logits: np.ndarray, names: Sequence[str]) -> list[Prediction]:  # noqa: ARG002
        return [float(score) for score in logits[:, 0]]

    def probabilities(self, logits: Tensor) -> Tensor:  # noqa: ARG002
        raise RuntimeError("scores have no probabilities")

    def fit_temperatures(self, *_: object) -> tuple[Temperature, ...]:
        raise RuntimeError("scores have no probabilities")

    def forecast(self, *_: object) -> Forecast:
        raise RuntimeError("scores have no probabilities")

    def label_reader(self, settings: Dataset) -> LabelReader:
        return ScoreLabels(settings)

    def check_rows(
        self,
        settings: Dataset,
        splits: Mapping[str, datasets.Dataset],
        names: Sequence[str],  # noqa: ARG002
    ) -> None:
        for split in scored_splits(settings):
            if split in splits:
                check_spread(settings, splits[split].unique("label"), split)

    @property
    def primary_metric(self) -> Metric:
        return self.metrics[0]

    def right(self, logits: Array, labels: Array) -> None:  # noqa: ARG002
        return None

    def score(self, logits: np.ndarray, rows: datasets.Dataset) -> Score:
        return self.score_answers(logits, self.labels(rows), self.clusters(rows))

    def score_answers(
        self, logits: np.ndarray, labels: np.ndarray, clusters: np.ndarray | None = None
    ) -> Score:
        """Compute the configured metrics, and the interval of the first.

        Args:
            logits: [rows, 1].
            labels: [rows], scores.
            clusters: [rows], the number of each row's cluster; None: rows are independent.
        """
        each_row = np.arange(len(labels)) if clusters is None else clusters
        answers, truth = _scores(logits), labels.astype(float)
        found = correlation_metrics().compute(
            predictions=answers, references=truth, names=self.metrics
        )
        found_by_cluster = self.contributions(logits, labels, each_row, self.primary_metric)
        interval = interval_over_clusters(found_by_cluster)
        return Score(
            primary_metric=self.primary_metric.value,
            n=len(labels),
            clusters=len(np.unique(each_row)),
            effective_n=None,
            low=interval.low,
            high=interval.high,
            majority=None,
            questions=None,
            without_positive=None,
            metrics={metric.value: found[metric.value] for metric in self.metrics},
        )

    def value(self, logits: np.ndarray, labels: np.ndarray) -> float:
        """Return the correlation with the labels."""
        return float(CORRELATIONS[self.primary_metric](_scores(logits), labels.astype(float)))

    def contributions(
        self, logits: np.ndarray, labels: np.ndarray, clusters: np.ndarray, metric: Metric
    ) -> np.ndarray:
        correlation, answers, truth = CORRELATIONS[metric], _scores(logits), labels.astype(float)
        return contributions(lambda rows: float(correlation(answers[rows], truth[rows])), clusters)

    @property
    def widest_lead(self) -> float:
        return 2.0

    def agreement(self, ours: np.ndarray, theirs: np.ndarray) -> float:
        """Return the correlation of the two models' scores."""
        return float(CORRELATIONS[self.primary_metric](_scores(ours), _scores(theirs)))

    def chance_level(self, score: Score, logits: np.ndarray, rows: datasets.Dataset) -> ChanceLevel:
        """Compare with the labels' mean for every row, which correlates with nothing.

        The squared error reveals a teacher on another scale, such as 0..1 in place of 0..5; a
        correlation cannot.
        """
        labels = self.labels(rows).astype(float)
        error = float(((logits[:, 0] - labels) ** 2).mean() / labels.var())
        interval = f"[{100 * score.low:.1f}, {100 * score.high:.1f}]"
        times = f"{error:.2f} times the squared error of the labels' mean"
        return ChanceLevel(
            score.low <= 0 or error >= 1,
            f"{interval}, {times}",
            f"its {score.primary_metric} times 100 has the 95% interval {interval}, "
            f"and it makes {times}",
            "no better than one score for all rows",
        )

    def only_answer(self, logits: np.ndarray, names: Sequence[str]) -> None:  # noqa: ARG002
        return None

    def predictions(
        self,
        logits: np.ndarray,
        labels: np.ndarray,
        names: Sequence[str],  # noqa: ARG002
    ) -> Iterator[list[str]]:
        yield ["label", "predicted"]
        for label, value in zip(labels, logits[:, 0], strict=True):
            yield [f"{label:.7g}", f"{value:.7g}"]

    def read_labels(self, texts: Sequence[str], names: Sequence[str]) -> np.ndarray:  # noqa: ARG002
        return np.array([float(text) for text in texts], dtype=np.float32)


def _scores(logits: np.ndarray) -> np.ndarray:
    return logits[:, 0].astype(float)
