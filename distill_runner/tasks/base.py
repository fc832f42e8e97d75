"""A kind of task: everything that differs between classes, scores and sets of labels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
from torch import Tensor

from distill_runner.config.schema import Combine, Dataset, Metric
from distill_runner.data.readers.label_reader import LabelReader
from distill_runner.evaluation.metrics.intervals import Interval
from distill_runner.objectives.ensemble import Ensemble
from distill_runner.results.scores import RankingDifference, Score
from distill_runner.tasks.rules import TaskRules

if TYPE_CHECKING:
    import datasets

Answer = str | float | list[str]  # a class, a score, or a set of labels
Answers = TypeVar("Answers", np.ndarray, Tensor)

_SCORED = ("validation", "test")


def scored_splits(settings: Dataset) -> tuple[str, ...]:
    """The splits on which every finished stage is scored, where they have rows."""
    return (*_SCORED, *settings.extra)


@dataclass(frozen=True)
class ChanceLevel:
    """Whether a model does no better than chance, and in which words."""

    reached: bool
    beside: str  # behind a teacher's score
    evidence: str  # where it is refused, or warned of
    mark: str  # what it is, in a table


@dataclass(frozen=True)
class Task(ABC):
    """What a model answers, how it learns that from labels, and how its answers are scored.

    Args:
        metrics: those asked for; the first chooses the epoch under `training.select`.
    """

    rules: ClassVar[TaskRules]
    hard_name: ClassVar[str]  # short name of the hard loss, in formulas
    problem_type: ClassVar[str | None]  # as transformers calls it; None: by the labels' type
    label_type: ClassVar[str]  # of the stored label column
    stratified: ClassVar[bool]  # whether a split takes rows of each label in proportion
    mean_of_models: ClassVar[Combine]  # how models that answer together are averaged

    metrics: tuple[Metric, ...] = ()

    # --- outputs of a model ---

    @abstractmethod
    def check_outputs(self, outputs: int, *, name: str) -> None:
        """Refuse a trained model whose outputs cannot be answers to this task.

        Args:
            outputs: how many it has.
            name: the model's, as printed.

        Raises:
            Refused: one output where classes are asked for, or the other way round.
        """

    # --- losses ---

    @abstractmethod
    def hard_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss with the true labels: a scalar, averaged over the batch.

        Args:
            logits: [batch, outputs].
            labels: [batch], or [batch, outputs] where a row has several.
        """

    @abstractmethod
    def mean_answer(self, logits: Tensor) -> Tensor:
        """The answer of several heads or models together, each counting alike.

        Args:
            logits: [heads, batch, outputs].

        Returns:
            [batch, outputs]: logits of the mean of their probabilities, or the mean score.
        """

    @abstractmethod
    def mean_probabilities(self, logits: Tensor, weights: Tensor, temperature: float) -> Tensor:
        """Logits whose softened probabilities are the weighted mean of the models'.

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
        """Several models as one."""
        return Ensemble(combine, weights, temperatures, self.mean_probabilities)

    # --- answers ---

    @abstractmethod
    def answers(self, logits: np.ndarray, names: Sequence[str]) -> list[Answer]:
        """What a model answers to each row, in words where they are classes.

        Args:
            logits: [rows, outputs].
            names: of the outputs.
        """

    @abstractmethod
    def probabilities(self, logits: Tensor) -> Tensor:
        """The probability of each output, of the same shape; scores have none."""

    # --- labels ---

    @abstractmethod
    def label_reader(self, settings: Dataset) -> LabelReader:
        """Reads the labels from the data set's files."""

    def label_feature(self) -> Any:
        """The type of the stored label column."""
        import datasets

        return datasets.Value(self.label_type)

    def labels(self, rows: datasets.Dataset) -> np.ndarray:
        """[rows], class indices as int64, or scores as float32; -1 where hidden."""
        labels = np.asarray(rows.with_format("numpy")["label"][:])
        return labels if labels.dtype == np.float32 else labels.astype(np.int64)

    @abstractmethod
    def check_rows(
        self, settings: Dataset, splits: Mapping[str, datasets.Dataset], names: Sequence[str]
    ) -> None:
        """Refuse splits that cannot be learnt from, or not be scored by the metrics.

        Args:
            splits: as they were cut.
            names: of the outputs.

        Raises:
            Refused: at the first fault.
        """

    # --- scores ---

    @property
    def selection_metric(self) -> Metric:
        """The metric by which the best epoch is chosen."""
        return self.metrics[0]

    @property
    @abstractmethod
    def primary_metric(self) -> Metric:
        """The metric by which models are compared; it has the interval."""

    @abstractmethod
    def right(self, logits: Answers, labels: Answers) -> Answers | None:
        """Whether each answer is right; None where answers are not right or wrong.

        Args:
            logits: [..., rows, outputs].
            labels: of the rows; a hidden one is nobody's answer.

        Returns:
            [..., rows], true or false.
        """

    @abstractmethod
    def score(self, logits: np.ndarray, rows: datasets.Dataset) -> Score:
        """What the logits are worth on a prepared split, in its order. [rows, outputs]."""

    @abstractmethod
    def value(self, logits: np.ndarray, labels: np.ndarray) -> float:
        """The primary metric of the logits."""

    @abstractmethod
    def lead(self, ours: np.ndarray, theirs: np.ndarray, labels: np.ndarray) -> Interval:
        """Paired 95% interval of the difference in the primary metric, over the rows."""

    @abstractmethod
    def agreement(self, ours: np.ndarray, theirs: np.ndarray) -> float:
        """How far two models answer alike: a share of rows, or the primary metric of the two."""

    def ranking_leads(
        self,
        ours: np.ndarray,  # noqa: ARG002
        theirs: np.ndarray,  # noqa: ARG002
        rows: datasets.Dataset,  # noqa: ARG002
    ) -> dict[str, RankingDifference | None]:
        """By ranking metric, how much better one model ranks the groups than another."""
        return {}

    @abstractmethod
    def chance_level(self, score: Score, logits: np.ndarray, rows: datasets.Dataset) -> ChanceLevel:
        """Whether the logits on these rows, whose score is known, are no better than chance."""

    @abstractmethod
    def only_answer(self, logits: np.ndarray, names: Sequence[str]) -> str | None:
        """The answer that a model gives to every row; None where it gives several."""

    @abstractmethod
    def predictions(
        self, logits: np.ndarray, labels: np.ndarray, names: Sequence[str]
    ) -> Iterator[list[str]]:
        """The columns behind `id` of a file of predictions: a heading, then row by row."""
