"""The settings that each kind of task allows; this module imports neither torch nor numpy."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from distill_runner.config.schema import Dataset, Metric, TaskKind
from distill_runner.errors import Refused
from distill_runner.objectives.comparisons import DISTRIBUTIONS, RAW_LOGITS, SIGMOIDS

RANKING = (Metric.map, Metric.mrr)
_OF_SCORES = (Metric.pearson, Metric.spearman)
_OF_SETS = (Metric.micro_f1, Metric.subset_accuracy)
_OF_TWO_CLASSES = (Metric.f1, *RANKING)


@dataclass(frozen=True)
class TaskRules:
    """What a kind of task allows; a field that forbids something holds the reason, else None.

    Args:
        kind: the value of `dataset.task`.
        answer: what one prediction is, with its article.
        metrics: those that can score the task.
        suggested: metrics to name in a refusal.
        compares: what a soft loss may compare (`objectives.comparisons`).
        soft_loss: the usual value of `method.soft_loss`.
        outputs: what is averaged when several models predict together.
        classes: whether a prediction is a distribution over classes.
        pipeline: further arguments that make transformers' pipeline return all labels.
        no_names: why the labels have no names.
        no_corpus: why the generated corpus cannot be used.
        no_probabilities: why `teacher.combine=prob_mean` makes no sense.
        no_votes: why `teacher.weigh_by=validation` makes no sense.
        no_temperatures: why `teacher.temperatures` make no sense.
        no_robustness: why `evaluation.robustness` makes no sense.
    """

    kind: TaskKind
    answer: str
    metrics: tuple[Metric, ...]
    suggested: str
    compares: Collection[str]
    soft_loss: str
    outputs: str = "probabilities"
    classes: bool = False
    pipeline: str = ""
    no_names: str | None = None
    no_corpus: str | None = None
    no_probabilities: str | None = None
    no_votes: str | None = None
    no_temperatures: str | None = None
    no_robustness: str | None = None


_CLASSIFICATION = TaskRules(
    kind=TaskKind.classification,
    answer="a distribution over classes",
    metrics=tuple(metric for metric in Metric if metric not in (*_OF_SCORES, *_OF_SETS)),
    suggested="accuracy,macro_f1",
    compares=(DISTRIBUTIONS, RAW_LOGITS),
    soft_loss="kl",
    classes=True,
)
_REGRESSION = TaskRules(
    kind=TaskKind.regression,
    answer="a score",
    metrics=_OF_SCORES,
    suggested="pearson,spearman",
    compares=(RAW_LOGITS,),
    soft_loss="mse_logits",
    outputs="scores",
    no_names="scores have no names",
    no_corpus="the generated corpus has classes",
    no_probabilities="a score has no probabilities",
    no_votes="its weights are those of votes for classes",
    no_temperatures="a score that is divided is another score",
    no_robustness="it is measured in accuracy",
)
_MULTI_LABEL = TaskRules(
    kind=TaskKind.multi_label,
    answer="a set of labels",
    metrics=(*_OF_SETS, Metric.macro_f1),
    suggested="micro_f1,macro_f1,subset_accuracy",
    compares=(SIGMOIDS, RAW_LOGITS),
    soft_loss="soft_bce",
    pipeline=", top_k=None",
    no_corpus="each row of the generated corpus has one class",
    no_votes="its weights are those of votes for classes",
    no_robustness="it is measured in accuracy",
)
_RULES = {rules.kind: rules for rules in (_CLASSIFICATION, _REGRESSION, _MULTI_LABEL)}


def rules_of(kind: TaskKind) -> TaskRules:
    """Return what that kind of task allows."""
    return _RULES[kind]


def check_classes(dataset: Dataset, classes: int) -> None:
    """Refuse metrics for two classes if there are more or fewer.

    Raises:
        Refused: a metric needs two classes; names the first.
    """
    for metric in dataset.metrics:
        if classes != 2 and metric in _OF_TWO_CLASSES:
            raise Refused(
                "dataset.metrics is out of range.",
                key="dataset.metrics",
                value=metric.value,
                rule=f"a metric for two classes; there are {classes}",
                way_out="dataset.metrics=[accuracy,macro_f1]",
            )
