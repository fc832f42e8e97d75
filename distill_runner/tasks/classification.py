"""Classification: one class per row; with two classes, rows can also be ranked in groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from distill_runner.config.schema import Combine, Dataset, Metric, TaskKind
from distill_runner.data.readers.class_labels import ClassLabels, check_trained
from distill_runner.data.readers.label_reader import LabelReader
from distill_runner.errors import Refused
from distill_runner.evaluation.metrics.calibration import Forecast, forecast_classes
from distill_runner.evaluation.metrics.classes import class_metric, class_metrics
from distill_runner.evaluation.metrics.clusters import (
    contributions,
    effective_rows,
    mean_contributions,
)
from distill_runner.evaluation.metrics.estimate import estimate, interval_over_clusters
from distill_runner.evaluation.metrics.intervals import proportion_interval
from distill_runner.evaluation.metrics.rankings import (
    each_group,
    expected_at_random,
    rank,
    ranking_metrics,
)
from distill_runner.evaluation.metrics.temperature import Temperature, fit_for_classes
from distill_runner.objectives.ensemble import equal_mean_of_probabilities, prob_mean
from distill_runner.objectives.logits import cross_entropy
from distill_runner.results.scores import RankingDifference, Score
from distill_runner.tasks.base import Array, ChanceLevel, Prediction, Task, scored_splits
from distill_runner.tasks.given_answers import ClassAnswers
from distill_runner.tasks.rules import RANKING, TaskRules, check_classes, rules_of

if TYPE_CHECKING:
    import datasets


@dataclass(frozen=True)
class Classification(ClassAnswers, Task):
    """Softmax over classes, cross-entropy, accuracy."""

    rules: ClassVar[TaskRules] = rules_of(TaskKind.classification)
    hard_name: ClassVar[str] = "CE"
    problem_type: ClassVar[str | None] = None
    label_type: ClassVar[str] = "int64"
    stratified: ClassVar[bool] = True
    mean_of_models: ClassVar[Combine] = Combine.prob_mean

    metrics: tuple[Metric, ...] = (Metric.accuracy, Metric.macro_f1)
    class_weights: tuple[float, ...] | None = None  # of the hard loss; their mean over rows is 1

    def balance(self, labels: np.ndarray, outputs: int) -> Classification:
        counts = np.bincount(labels, minlength=outputs)
        weights = len(labels) / (outputs * np.maximum(counts, 1))
        return replace(self, class_weights=tuple(weights.tolist()))

    def check_outputs(self, outputs: int, *, name: str) -> None:
        if outputs == 1:
            raise Refused(
                f"{name} has one output.",
                key="dataset.task",
                value="classification",
                rule="one output for a score, one for each class",
                way_out="teacher.finetune=always, or another teacher",
            )

    def hard_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        if self.class_weights is None:
            return cross_entropy(logits, labels)
        # Divided by the number of rows, not by their weights: so micro-batches add up.
        weights = logits.new_tensor(self.class_weights)[labels]
        return (weights * F.cross_entropy(logits, labels, reduction="none")).mean()

    def joint_logits(self, logits: Tensor) -> Tensor:
        return equal_mean_of_probabilities(logits)

    def mean_probabilities(self, logits: Tensor, weights: Tensor, temperature: float) -> Tensor:
        return prob_mean(logits, weights, temperature)

    def predict(self, logits: np.ndarray, names: Sequence[str]) -> list[Prediction]:
        return [names[at] for at in logits.argmax(axis=-1)]

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the probabilities, [rows, classes]; each row sums to 1."""
        return logits.softmax(dim=-1)

    def fit_temperatures(
        self, logits: np.ndarray, labels: np.ndarray, clusters: np.ndarray
    ) -> tuple[Temperature, ...]:
        return (fit_for_classes(logits, labels, clusters),)

    def forecast(self, logits: np.ndarray, labels: np.ndarray) -> Forecast:
        return forecast_classes(logits, labels)

    def label_reader(self, settings: Dataset) -> LabelReader:
        return ClassLabels(settings)

    def check_rows(
        self, settings: Dataset, splits: Mapping[str, datasets.Dataset], names: Sequence[str]
    ) -> None:
        check_classes(settings, len(names))
        if "train" in splits:
            check_trained(settings, names, splits["train"].unique("label"))
        if not set(self.metrics) & set(RANKING):
            return
        for split in scored_splits(settings):
            if split in splits and 1 not in splits[split].unique("label"):
                raise Refused(
                    f"No group of the {split} rows has a row of class {names[1]!r}.",
                    key="dataset.metrics",
                    value=[metric.value for metric in self.metrics],
                    rule="map and mrr are means over the groups that have one",
                    way_out=f"more rows: dataset.split.{split}, or dataset.metrics=[accuracy]",
                )

    @property
    def primary_metric(self) -> Metric:
        return Metric.accuracy

    def right(self, logits: Array, labels: Array) -> Array:
        right: Array = logits.argmax(-1) == labels
        return right

    def score(self, logits: np.ndarray, rows: datasets.Dataset) -> Score:
        groups = _groups(rows) if set(self.metrics) & set(RANKING) else None
        return self.score_answers(
            logits, self.labels(rows), groups=groups, clusters=self.clusters(rows)
        )

    def score_answers(
        self,
        logits: np.ndarray,
        labels: np.ndarray,
        *,
        groups: np.ndarray | None = None,
        clusters: np.ndarray | None = None,
    ) -> Score:
        """Compute accuracy and the configured metrics.

        Args:
            logits: [rows, classes]; the largest is the prediction, and rows of two classes are
                ranked by the second logit minus the first.
            labels: [rows], classes.
            groups: [rows], the number of each row's group; None without ranking metrics.
            clusters: [rows], the number of each row's cluster; None: rows are independent.
        """
        predictions = logits.argmax(axis=-1)
        right = predictions == labels
        each = np.arange(len(labels)) if clusters is None else clusters
        independent = effective_rows(right, each)
        interval = proportion_interval(float(right.mean()), independent)
        found = class_metrics().compute(
            predictions=predictions.tolist(),
            references=labels.tolist(),
            classes=logits.shape[-1],
            names=(Metric.accuracy, *(m for m in self.metrics if m not in RANKING)),
        )
        ranking = self._ranking(logits, labels, groups)
        names = dict.fromkeys((Metric.accuracy, *self.metrics))
        return Score(
            primary_metric=Metric.accuracy.value,
            n=len(labels),
            clusters=len(np.unique(each)),
            effective_n=independent,
            low=interval.low,
            high=interval.high,
            majority=float(np.bincount(labels).max() / len(labels)),
            questions=ranking.get("questions"),
            without_positive=ranking.get("without_positive"),
            metrics={metric.value: (found | ranking)[metric.value] for metric in names},
        )

    def _ranking(
        self, logits: np.ndarray, labels: np.ndarray, groups: np.ndarray | None
    ) -> dict[str, Any]:
        """Return the ranking metrics and the numbers of groups; nothing if none is configured."""
        names = [metric for metric in self.metrics if metric in RANKING]
        if not names:
            return {}
        assert groups is not None
        found: dict[str, Any] = ranking_metrics().compute(
            predictions=_second_over_first(logits).tolist(),
            references=labels.tolist(),
            groups=groups.tolist(),
            names=names,
        )
        return found

    def value(self, logits: np.ndarray, labels: np.ndarray) -> float:
        """Return the share of right predictions."""
        return float(self.right(logits, labels).mean())

    def contributions(
        self, logits: np.ndarray, labels: np.ndarray, clusters: np.ndarray, metric: Metric
    ) -> np.ndarray:
        if metric in RANKING:
            return each_group(metric, rank(_second_over_first(logits), labels, clusters))
        if metric is Metric.accuracy:
            return mean_contributions(self.right(logits, labels), clusters)
        predicted, classes = logits.argmax(axis=-1), logits.shape[-1]
        return contributions(
            lambda rows: class_metric(metric, predicted[rows], labels[rows], classes), clusters
        )

    def agreement(self, ours: np.ndarray, theirs: np.ndarray) -> float:
        """Return the share of rows with the same prediction."""
        return float((ours.argmax(axis=-1) == theirs.argmax(axis=-1)).mean())

    def ranking_leads(
        self, ours: np.ndarray, theirs: np.ndarray, rows: datasets.Dataset
    ) -> dict[str, RankingDifference | None]:
        labels = self.labels(rows)
        return {
            metric.value: self._ranking_lead(ours, theirs, labels, _groups(rows), metric)
            for metric in self.metrics
            if metric in RANKING
        }

    def _ranking_lead(
        self,
        ours: np.ndarray,
        theirs: np.ndarray,
        labels: np.ndarray,
        groups: np.ndarray,
        metric: Metric,
    ) -> RankingDifference | None:
        """Return a lead with Student's interval over the groups that have a 1; None below two."""
        first, second = (self.contributions(one, labels, groups, metric) for one in (ours, theirs))
        if len(first) < 2:
            return None
        found, interval = estimate((first - second)[None]), interval_over_clusters(first - second)
        return RankingDifference(
            difference=found.value, low=interval.low, high=interval.high, groups=found.clusters
        )

    def chance_level(
        self,
        score: Score,
        logits: np.ndarray,  # noqa: ARG002
        rows: datasets.Dataset,
    ) -> ChanceLevel:
        """Compare with a random order if the selection metric ranks, else the largest class."""
        assert score.majority is not None
        largest = f"(largest class {100 * score.majority:.1f})"
        metric = self.selection_metric
        if metric not in RANKING:
            evidence = (
                f"its 95% interval starts at {100 * score.low:.1f}, "
                f"the largest class has {100 * score.majority:.1f}"
            )
            worse = score.value <= score.majority
            mark = f"{'no' if worse else 'not significantly'} better than the largest class"
            return ChanceLevel(score.low <= score.majority, largest, evidence, mark)
        # With few rows of the second class, accuracy says nothing about the ranking.
        labels = self.labels(rows)
        unranked = rank(np.zeros(len(labels)), labels, _groups(rows))
        ours, chance = score.metrics[metric.value], expected_at_random(metric, unranked)
        evidence = f"{metric.value} {100 * ours:.1f}, and {100 * chance:.1f} in a random order"
        mark = "ranks no better than a random order"
        return ChanceLevel(ours <= chance, f"{largest}; {evidence}", f"its {evidence}", mark)

    def only_answer(self, logits: np.ndarray, names: Sequence[str]) -> str | None:
        given = np.unique(logits.argmax(axis=-1)).tolist()
        return names[given[0]] if len(given) == 1 < len(names) else None

    def predictions(
        self, logits: np.ndarray, labels: np.ndarray, names: Sequence[str]
    ) -> Iterator[list[str]]:
        yield ["label", "predicted", *(f"logit_{name}" for name in names)]
        predicted = logits.argmax(axis=-1)
        for label, answer, values in zip(labels, predicted, logits, strict=True):
            yield [names[label], names[answer], *(f"{value:.7g}" for value in values)]

    def read_labels(self, texts: Sequence[str], names: Sequence[str]) -> np.ndarray:
        numbers = {name: number for number, name in enumerate(names)}
        if unknown := set(texts) - set(numbers):
            raise ValueError(f"{min(unknown)!r} is no class")
        return np.array([numbers[text] for text in texts], dtype=np.int64)


def _second_over_first(logits: np.ndarray) -> np.ndarray:
    """Return the score by which rows of two classes are ranked. [rows]."""
    return np.asarray(logits[:, 1].astype(float) - logits[:, 0])


def _groups(rows: datasets.Dataset) -> np.ndarray:
    """Return the number of each row's group. [rows]."""
    return np.unique(np.asarray(rows["group"][:]), return_inverse=True)[1]
