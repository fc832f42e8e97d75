"""Multi-label classification: a set of labels for each row, which may be empty."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from distill_runner.config.schema import Combine, Dataset, Metric, TaskKind
from distill_runner.data.readers.label_reader import LabelReader
from distill_runner.data.readers.label_sets import LabelSets, read_set, written_set
from distill_runner.errors import Refused
from distill_runner.evaluation.metrics.calibration import Forecast, forecast_sets
from distill_runner.evaluation.metrics.label_sets import (
    best_constant,
    effective_sets,
    metric_of_sets,
    set_contributions,
    set_interval,
)
from distill_runner.evaluation.metrics.temperature import Temperature, fit_for_label
from distill_runner.objectives.sigmoids import (
    binary_cross_entropy,
    equal_mean_of_sigmoids,
    mean_of_sigmoids,
)
from distill_runner.results.scores import Score
from distill_runner.tasks.base import HIDDEN, Array, ChanceLevel, Prediction, Task
from distill_runner.tasks.given_answers import LabelSetAnswers
from distill_runner.tasks.rules import TaskRules, rules_of

if TYPE_CHECKING:
    import datasets


@dataclass(frozen=True)
class MultiLabel(LabelSetAnswers, Task):
    """A sigmoid for each label, binary cross-entropy, F1; a label is predicted above 1/2."""

    rules: ClassVar[TaskRules] = rules_of(TaskKind.multi_label)
    hard_name: ClassVar[str] = "BCE"
    problem_type: ClassVar[str | None] = "multi_label_classification"
    label_type: ClassVar[str] = "int8"
    stratified: ClassVar[bool] = False
    mean_of_models: ClassVar[Combine] = Combine.prob_mean

    metrics: tuple[Metric, ...] = (Metric.micro_f1, Metric.macro_f1, Metric.subset_accuracy)
    present_weights: tuple[float, ...] | None = None  # of the hard loss where a label is present

    def check_outputs(self, outputs: int, *, name: str) -> None:
        if outputs == 1:
            raise Refused(
                f"{name} has one output.",
                key="dataset.task",
                value="multi_label",
                rule="one output for each label",
                way_out="teacher.finetune=always, or another teacher",
            )

    def hard_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        if self.present_weights is None:
            return binary_cross_entropy(logits, labels)
        present = logits.new_tensor(self.present_weights)
        absent = present / (2 * present - 1)  # so that both halves of a label weigh as much
        each = F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype), reduction="none")
        return (torch.where(labels > 0, present, absent) * each).mean()

    def balance(self, labels: np.ndarray, outputs: int) -> MultiLabel:  # noqa: ARG002
        share = labels.mean(axis=0).clip(1 / len(labels), 1 - 1 / len(labels))
        return replace(self, present_weights=tuple((1 / (2 * share)).tolist()))

    def joint_logits(self, logits: Tensor) -> Tensor:
        return equal_mean_of_sigmoids(logits)

    def mean_probabilities(self, logits: Tensor, weights: Tensor, temperature: float) -> Tensor:
        return mean_of_sigmoids(logits, weights, temperature)

    def predict(self, logits: np.ndarray, names: Sequence[str]) -> list[Prediction]:
        return [_names(row, names) for row in logits > 0]

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return each label's probability, [rows, labels], 0..1."""
        return logits.sigmoid()

    def fit_temperatures(
        self, logits: np.ndarray, labels: np.ndarray, clusters: np.ndarray
    ) -> tuple[Temperature, ...]:
        return tuple(
            fit_for_label(of_label, truth, clusters)
            for of_label, truth in zip(logits.T, labels.T, strict=True)
        )

    def forecast(self, logits: np.ndarray, labels: np.ndarray) -> Forecast:
        return forecast_sets(logits, labels)

    # --- labels ---

    def label_reader(self, settings: Dataset) -> LabelReader:
        return LabelSets(settings)

    def label_feature(self) -> Any:
        import datasets

        return datasets.Sequence(datasets.Value(self.label_type))

    def hidden_label(self, outputs: int) -> list[int]:
        return [HIDDEN] * outputs

    def labels(self, rows: datasets.Dataset) -> np.ndarray:
        """Return the labels, [rows, labels], 0 or 1, as float32; [rows, 1] of -1 if hidden."""
        labels = np.asarray(rows["label"][:], dtype=np.float32)
        return labels if labels.ndim == 2 else labels[:, None]

    def check_rows(
        self, settings: Dataset, splits: Mapping[str, datasets.Dataset], names: Sequence[str]
    ) -> None:
        if "train" not in splits:
            return
        trained = self.labels(splits["train"]).sum(axis=0)
        for name, rows in zip(names, trained.tolist(), strict=True):
            if not rows:
                raise Refused(
                    f"The split leaves the label {name[:60]!r} no row to train on.",
                    key="dataset.split.train",
                    value=settings.split.train,
                    rule=f"training rows with each of the {len(names)} labels",
                    way_out="a larger dataset.split.train, another dataset.split_seed, or more "
                    "rows with that label in the file",
                )

    # --- scores ---

    @property
    def primary_metric(self) -> Metric:
        return self.metrics[0]

    def right(self, logits: Array, labels: Array) -> Array:
        """Return whether each row is given exactly its labels."""
        right: Array = ((logits > 0) == labels).all(-1)
        return right

    def score(self, logits: np.ndarray, rows: datasets.Dataset) -> Score:
        return self.score_answers(logits, self.labels(rows), self.clusters(rows))

    def score_answers(
        self, logits: np.ndarray, labels: np.ndarray, clusters: np.ndarray | None = None
    ) -> Score:
        """Compute the configured metrics, and the interval of the first.

        Args:
            logits: [rows, labels]; a label is predicted if its logit is above 0.
            labels: [rows, labels], 0 or 1.
            clusters: [rows], the number of each row's cluster; None: rows are independent.
        """
        each_row = np.arange(len(labels)) if clusters is None else clusters
        answers, truth, metric = logits > 0, labels == 1, self.primary_metric
        interval = set_interval(metric, answers, truth, each_row)
        return Score(
            primary_metric=self.primary_metric.value,
            n=len(labels),
            clusters=len(np.unique(each_row)),
            effective_n=effective_sets(metric, answers, truth, each_row),
            low=interval.low,
            high=interval.high,
            majority=None,
            questions=None,
            without_positive=None,
            metrics={
                metric.value: metric_of_sets(metric, answers, truth) for metric in self.metrics
            },
        )

    def value(self, logits: np.ndarray, labels: np.ndarray) -> float:
        return metric_of_sets(self.primary_metric, logits > 0, labels == 1)

    def contributions(
        self, logits: np.ndarray, labels: np.ndarray, clusters: np.ndarray, metric: Metric
    ) -> np.ndarray:
        return set_contributions(metric, logits > 0, labels == 1, clusters)

    def agreement(self, ours: np.ndarray, theirs: np.ndarray) -> float:
        """Return the share of rows with the same set of labels."""
        return float(((ours > 0) == (theirs > 0)).all(axis=-1).mean())

    def chance_level(
        self,
        score: Score,
        logits: np.ndarray,  # noqa: ARG002
        rows: datasets.Dataset,
    ) -> ChanceLevel:
        """Compare with the best single set of labels for all rows."""
        constant = best_constant(self.primary_metric, self.labels(rows) == 1)
        evidence = (
            f"its {score.primary_metric} has a 95% interval that starts at {100 * score.low:.1f}, "
            f"and one set of labels for all rows has {100 * constant:.1f}"
        )
        worse = score.value <= constant
        return ChanceLevel(
            reached=score.low <= constant,
            beside=f"(one set of labels for all rows {100 * constant:.1f})",
            evidence=evidence,
            mark=f"{'no' if worse else 'not significantly'} better than one set for all rows",
        )

    def only_answer(self, logits: np.ndarray, names: Sequence[str]) -> str | None:
        given = np.unique(logits > 0, axis=0)
        return written_set(_names(given[0], names)) or "no label" if len(given) == 1 else None

    def predictions(
        self, logits: np.ndarray, labels: np.ndarray, names: Sequence[str]
    ) -> Iterator[list[str]]:
        yield ["label", "predicted", *(f"logit_{name}" for name in names)]
        for label, values in zip(labels, logits, strict=True):
            sets = (written_set(_names(row, names)) for row in (label == 1, values > 0))
            yield [*sets, *(f"{value:.7g}" for value in values)]

    def read_labels(self, texts: Sequence[str], names: Sequence[str]) -> np.ndarray:
        sets = [set(read_set(text)) for text in texts]
        if unknown := set().union(*sets) - set(names):
            raise ValueError(f"{min(unknown)!r} is no label")
        return np.array([[name in one for name in names] for one in sets], dtype=np.float32)


def _names(row: np.ndarray, names: Sequence[str]) -> list[str]:
    return [name for name, answered in zip(names, row, strict=True) if answered]
