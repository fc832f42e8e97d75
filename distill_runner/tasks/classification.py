"""Classification: one class per row; with two classes, rows can also be ranked in groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from torch import Tensor

from distill_runner.config.schema import Combine, Dataset, Metric, TaskKind
from distill_runner.data.readers.class_labels import ClassLabels, check_trained
from distill_runner.data.readers.label_reader import LabelReader
from distill_runner.errors import Refused
from distill_runner.evaluation.metrics.classes import class_metrics
from distill_runner.evaluation.metrics.intervals import (
    Interval,
    mean_interval,
    paired_rows_interval,
    proportion_interval,
)
from distill_runner.evaluation.metrics.rankings import (
    each_group,
    expected_at_random,
    rank,
    ranking_metrics,
)
from distill_runner.objectives.ensemble import equal_mean_of_probabilities, prob_mean
from distill_runner.objectives.logits import cross_entropy
from distill_runner.results.scores import RankingDifference, Score
from distill_runner.tasks.base import Array, ChanceLevel, Prediction, Task, scored_splits
from distill_runner.tasks.rules import RANKING, TaskRules, check_classes, rules_of

if TYPE_CHECKING:
    import datasets


@dataclass(frozen=True)
class Classification(Task):
    """Softmax over classes, cross-entropy, accuracy."""

    rules: ClassVar[TaskRules] = rules_of(TaskKind.classification)
    hard_name: ClassVar[str] = "CE"
    problem_type: ClassVar[str | None] = None
    label_type: ClassVar[str] = "int64"
    stratified: ClassVar[bool] = True
    mean_of_models: ClassVar[Combine] = Combine.prob_mean

    metrics: tuple[Metric, ...] = (Metric.accuracy, Metric.macro_f1)

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
        return cross_entropy(logits, labels)

    def joint_logits(self, logits: Tensor) -> Tensor:
        return equal_mean_of_probabilities(logits)

    def mean_probabilities(self, logits: Tensor, weights: Tensor, temperature: float) -> Tensor:
        return prob_mean(logits, weights, temperature)

    def predict(self, logits: np.ndarray, names: Sequence[str]) -> list[Prediction]:
        return [names[at] for at in logits.argmax(axis=-1)]

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the probabilities, [rows, classes]; each row sums to 1."""
        return logits.softmax(dim=-1)

    def label_reader(self, settings: Dataset) -> LabelReader:
        return ClassLabels(settings)

    def check_rows(
        self, settings: Dataset, splits: Mapping[str, datasets.Dataset], names: Sequence[str]
    ) -> None:
        check_classes(settings, len(names))
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
        return self.score_answers(logits, self.labels(rows), groups=groups)

    def score_answers(
        self, logits: np.ndarray, labels: np.ndarray, *, groups: np.ndarray | None = None
    ) -> Score:
        """Compute accuracy and the configured metrics.

        Args:
            logits: [rows, classes]; the largest is the prediction, and rows of two classes are
                ranked by the second logit minus the first.
            labels: [rows], classes.
            groups: [rows], the number of each row's group; None without ranking metrics.
        """
        predictions = logits.argmax(axis=-1)
        interval = proportion_interval(int((predictions == labels).sum()), len(labels))
        found = class_metrics().compute(
            predictions=predictions.tolist(),
            references=labels.tolist(),
            classes=logits.shape[-1],
            names=(Metric.accuracy, *(m for m in self.metrics if m not in RANKING)),
        )
        questions: int | None = None
        without_positive: int | None = None
        ranking = [metric for metric in self.metrics if metric in RANKING]
        if ranking:
            assert groups is not None
            ranked = ranking_metrics().compute(
                predictions=_second_over_first(logits).tolist(),
                references=labels.tolist(),
                groups=groups.tolist(),
                names=ranking,
            )
            questions, without_positive = ranked.pop("questions"), ranked.pop("without_positive")
            found |= ranked
        names = dict.fromkeys((Metric.accuracy, *self.metrics))
        return Score(
            primary_metric=Metric.accuracy.value,
            n=len(labels),
            low=interval.low,
            high=interval.high,
            majority=float(np.bincount(labels).max() / len(labels)),
            questions=questions,
            without_positive=without_positive,
            metrics={metric.value: found[metric.value] for metric in names},
        )

    def value(self, logits: np.ndarray, labels: np.ndarray) -> float:
        """Return the share of right predictions."""
        return float(self.right(logits, labels).mean())

    def lead(self, ours: np.ndarray, theirs: np.ndarray, labels: np.ndarray) -> Interval:
        return paired_rows_interval(self.right(ours, labels), self.right(theirs, labels))

    def agreement(self, ours: np.ndarray, theirs: np.ndarray) -> float:
        """Return the share of rows with the same prediction."""
        return float((ours.argmax(axis=-1) == theirs.argmax(axis=-1)).mean())

    def ranking_leads(
        self, ours: np.ndarray, theirs: np.ndarray, rows: datasets.Dataset
    ) -> dict[str, RankingDifference | None]:
        return {
            metric.value: ranking_lead(ours, theirs, self.labels(rows), _groups(rows), metric)
            for metric in self.metrics
            if metric in RANKING
        }

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


def ranking_lead(
    ours: np.ndarray, theirs: np.ndarray, labels: np.ndarray, groups: np.ndarray, metric: Metric
) -> RankingDifference | None:
    """Return how much better one model ranks the groups than another.

    Args:
        ours, theirs: logits, [rows, 2].
        labels: [rows], 0 or 1.
        groups: [rows], the number of each row's group.

    Returns:
        The difference and Student's 95% interval of its mean over the groups that have a 1;
        None if there are fewer than two such groups.
    """
    each = [
        each_group(metric, rank(_second_over_first(logits), labels, groups))
        for logits in (ours, theirs)
    ]
    difference = each[0] - each[1]
    interval = mean_interval(difference.tolist())
    if interval is None:
        return None
    return RankingDifference(
        difference=float(difference.mean()),
        low=interval.low,
        high=interval.high,
        groups=len(difference),
    )


def _second_over_first(logits: np.ndarray) -> np.ndarray:
    """Return the score by which rows of two classes are ranked. [rows]."""
    return np.asarray(logits[:, 1].astype(float) - logits[:, 0])


def _groups(rows: datasets.Dataset) -> np.ndarray:
    """Return the number of each row's group. [rows]."""
    return np.unique(np.asarray(rows["group"][:]), return_inverse=True)[1]
