"""The interface of a task: everything that differs between classes, scores and label sets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
from torch import Tensor

from distill_runner.config.schema import Combine, Dataset, Metric
from distill_runner.data.readers.label_reader import LabelReader
from distill_runner.evaluation.metrics.calibration import Forecast
from distill_runner.evaluation.metrics.estimate import interval_over_clusters
from distill_runner.evaluation.metrics.intervals import Interval
from distill_runner.evaluation.metrics.temperature import Temperature
from distill_runner.objectives.ensemble import Ensemble
from distill_runner.results.scores import RankingDifference, Score
from distill_runner.tasks.given_answers import TakesAnswers
from distill_runner.tasks.rules import TaskRules

if TYPE_CHECKING:
    import datasets

HIDDEN = -1  # the label of a row without one, or with a hidden one
Prediction = str | float | list[str]  # a class, a score, or a set of labels
Array = TypeVar("Array", np.ndarray, Tensor)

_SCORED = ("validation", "test")


def scored_splits(settings: Dataset) -> tuple[str, ...]:
    """Return the splits on which every finished stage is scored, if they have rows."""
    return (*_SCORED, *settings.extra)


@dataclass(frozen=True)
class ChanceLevel:
    """Whether a model is no better than chance, and how to say so."""

    reached: bool  # True: no better than chance
    beside: str  # printed after a teacher's score
    evidence: str  # for a refusal or a warning
    mark: str  # for a table


@dataclass(frozen=True)
class Task(TakesAnswers, ABC):
    """What a model predicts, how it learns that from labels, and how predictions are scored.

    Args:
        metrics: the configured metrics; the first selects the epoch under `training.select`.
    """

    rules: ClassVar[TaskRules]
    hard_name: ClassVar[str]  # short name of the hard loss, in formulas
    problem_type: ClassVar[str | None]  # transformers' name; None: derived from the labels' type
    label_type: ClassVar[str]  # type of the stored label column
    stratified: ClassVar[bool]  # whether a split takes rows of each label in proportion
    mean_of_models: ClassVar[Combine]  # how models that predict together are averaged

    metrics: tuple[Metric, ...] = ()

    # --- outputs of a model ---

    @abstractmethod
    def check_outputs(self, outputs: int, *, name: str) -> None:
        """Refuse a trained model whose outputs do not fit this task.

        Args:
            outputs: number of its outputs.
            name: the model's name, as printed.

        Raises:
            Refused: the model has one output and the task has classes or label sets, or the
                model has several outputs and the task has scores.
        """

    # --- losses ---

    def balance(self, labels: np.ndarray, outputs: int) -> Task:
        """Return the task with a hard loss weighted by 1 over each class's share of `labels`."""
        raise RuntimeError(f"{self.rules.kind.value}: {outputs} output(s), {labels.dtype} labels")

    @abstractmethod
    def hard_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss with the true labels: a scalar, averaged over the batch.

        Args:
            logits: [batch, outputs].
            labels: [batch], or [batch, outputs] where a row has several.
        """

    @abstractmethod
    def joint_logits(self, logits: Tensor) -> Tensor:
        """Return the joint prediction of several heads or models, with equal weights.

        Args:
            logits: [heads, batch, outputs].

        Returns:
            [batch, outputs]: logits of the mean of their probabilities, or the mean score.
        """

    @abstractmethod
    def mean_probabilities(self, logits: Tensor, weights: Tensor, temperature: float) -> Tensor:
        """Return logits whose softened probabilities are the weighted mean of the models'.

        Args:
            logits: [models, batch, outputs].
            weights: [models], sum 1.
            temperature: T > 0.

        Returns:
            [batch, outputs].
        """

    def ensemble(
        self,
        combine: Combine,
        weights: tuple[float, ...],
        temperatures: tuple[float, ...] | None = None,
    ) -> Ensemble:
        """Return the rule that joins several models into one (see `Ensemble`)."""
        return Ensemble(combine, weights, temperatures, self.mean_probabilities)

    # --- predictions ---

    @abstractmethod
    def predict(self, logits: np.ndarray, names: Sequence[str]) -> list[Prediction]:
        """Return the prediction for each row: a class name, a score, or a list of label names.

        Args:
            logits: [rows, outputs].
            names: names of the outputs.
        """

    @abstractmethod
    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the probability of each output, in the logits' shape.

        Raises:
            RuntimeError: the outputs are scores, which have no probabilities.
        """

    @abstractmethod
    def fit_temperatures(
        self, logits: np.ndarray, labels: np.ndarray, clusters: np.ndarray
    ) -> tuple[Temperature, ...]:
        """Fit what divides the logits: one T for all classes, or one for each label.

        Args:
            logits: [rows, outputs].
            labels: of the rows.
            clusters: [rows], the number of each row's cluster.
        """

    @abstractmethod
    def forecast(self, logits: np.ndarray, labels: np.ndarray) -> Forecast:
        """Return what logits, [rows, outputs], claim of each row beside what happened."""

    # --- labels ---

    @abstractmethod
    def label_reader(self, settings: Dataset) -> LabelReader:
        """Return the reader of the labels in the data set's files."""

    def label_feature(self) -> Any:
        """Return the type of the stored label column."""
        import datasets

        return datasets.Value(self.label_type)

    def labels(self, rows: datasets.Dataset) -> np.ndarray:
        """Return the labels, [rows]: int64 class indices or float32 scores; -1 where hidden."""
        labels = np.asarray(rows.with_format("numpy")["label"][:])
        return labels if labels.dtype == np.float32 else labels.astype(np.int64)

    def hidden_label(self, outputs: int) -> Any:  # noqa: ARG002
        """Return what the label column holds where a label is hidden."""
        return HIDDEN

    def clusters(self, rows: datasets.Dataset) -> np.ndarray:
        """Return the number of each row's cluster; rows to learn from are each their own."""
        if "cluster" in rows.column_names:
            return np.asarray(rows.with_format("numpy")["cluster"][:])
        return np.arange(len(rows))

    @abstractmethod
    def check_rows(
        self, settings: Dataset, splits: Mapping[str, datasets.Dataset], names: Sequence[str]
    ) -> None:
        """Refuse splits that a model cannot learn from or that the metrics cannot score.

        Args:
            settings: of the data set.
            splits: the splits as they were cut, by name.
            names: names of the outputs.

        Raises:
            Refused: a split is unfit; names the first fault.
        """

    # --- scores ---

    @property
    def selection_metric(self) -> Metric:
        """The metric that selects the best epoch."""
        return self.metrics[0]

    @property
    @abstractmethod
    def primary_metric(self) -> Metric:
        """The metric that compares models; scores hold its interval."""

    @abstractmethod
    def right(self, logits: Array, labels: Array) -> Array | None:
        """Return whether each prediction is right; None if the task has no right or wrong.

        Args:
            logits: [..., rows, outputs].
            labels: of the rows; a hidden label matches no prediction.

        Returns:
            [..., rows], true or false.
        """

    @abstractmethod
    def score(self, logits: np.ndarray, rows: datasets.Dataset) -> Score:
        """Score logits, [rows, outputs], on a prepared split, in the order of its rows."""

    @abstractmethod
    def value(self, logits: np.ndarray, labels: np.ndarray) -> float:
        """Return the primary metric of the logits."""

    @abstractmethod
    def contributions(
        self, logits: np.ndarray, labels: np.ndarray, clusters: np.ndarray, metric: Metric
    ) -> np.ndarray:
        """Return what each cluster contributes to a metric; their mean is the metric. [clusters].

        Args:
            logits: [rows, outputs].
            labels: of the rows.
            clusters: [rows], the number of each row's cluster; for a ranking metric, its group.
            metric: one that can score the task; those that rank leave out groups without a 1.
        """

    def lead(
        self, ours: np.ndarray, theirs: np.ndarray, labels: np.ndarray, clusters: np.ndarray
    ) -> Interval:
        """Return the 95% interval of the lead in the primary metric, paired over the clusters."""
        metric, widest = self.primary_metric, self.widest_lead
        first, second = (
            self.contributions(one, labels, clusters, metric) for one in (ours, theirs)
        )
        return interval_over_clusters(first - second, -widest, widest)

    @property
    def widest_lead(self) -> float:
        """The largest possible lead in the primary metric."""
        return 1.0

    @abstractmethod
    def agreement(self, ours: np.ndarray, theirs: np.ndarray) -> float:
        """Return how far two models agree: a share of rows, or the primary metric of the two."""

    def ranking_leads(
        self,
        ours: np.ndarray,  # noqa: ARG002
        theirs: np.ndarray,  # noqa: ARG002
        rows: datasets.Dataset,  # noqa: ARG002
    ) -> dict[str, RankingDifference | None]:
        """Return, by ranking metric, how much better one model ranks the groups than another."""
        return {}

    @abstractmethod
    def chance_level(self, score: Score, logits: np.ndarray, rows: datasets.Dataset) -> ChanceLevel:
        """Return whether logits on these rows, with the given score, are no better than chance."""

    @abstractmethod
    def only_answer(self, logits: np.ndarray, names: Sequence[str]) -> str | None:
        """Return the one prediction that a model makes for all rows; None if it makes several."""

    @abstractmethod
    def predictions(
        self, logits: np.ndarray, labels: np.ndarray, names: Sequence[str]
    ) -> Iterator[list[str]]:
        """Yield the columns after `id` of a predictions file: the heading, then row by row."""

    @abstractmethod
    def read_labels(self, texts: Sequence[str], names: Sequence[str]) -> np.ndarray:
        """Return the labels, as `labels` does, from a predictions file.

        Raises:
            ValueError: a text is no label.
        """
