"""A cascade: the student answers where it is sure, and else the teachers do.

The threshold is chosen on validation by Learn-then-Test: the loss of accuracy against the teachers
alone is tested from the highest threshold downward, at a fixed sequence of thresholds, until a test
fails. The lowest threshold before that keeps the promise with the test's confidence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from distill_runner.config.schema import TaskKind
from distill_runner.errors import DistillError, Refused
from distill_runner.evaluation.latency import STUDENT
from distill_runner.evaluation.metrics.clusters import mean_contributions
from distill_runner.evaluation.metrics.estimate import interval_over_clusters
from distill_runner.evaluation.metrics.intervals import Interval
from distill_runner.evaluation.metrics.promise import fewest_rows, p_value
from distill_runner.evaluation.predictions_file import (
    FOLDER,
    TEACHERS,
    TOGETHER,
    SplitPredictions,
    read_predictions,
)
from distill_runner.results.schema import RunResult
from distill_runner.serving.finished_run import RunFolder
from distill_runner.tasks.kinds import find_task

LEVEL = 0.05  # the promise is kept with 95% confidence
_STEPS = 200  # thresholds between certainty and the least possible confidence


@dataclass(frozen=True)
class Answers:
    """What student and teachers answer on the rows of a split.

    Attributes:
        sure: [rows], the student's probability of its class, 0..1.
        right: [rows], whether the student is right.
        taught: [rows], whether the teachers together are right.
        clusters: [rows], the number of each row's cluster.
    """

    sure: np.ndarray
    right: np.ndarray
    taught: np.ndarray
    clusters: np.ndarray

    def losses(self, threshold: float) -> np.ndarray:
        """Return what each row loses against the teachers: 1, 0, or −1 where it gains. [rows]."""
        lost = self.taught.astype(float) - self.right
        return np.where(self.sure >= threshold, lost, 0.0)


@dataclass(frozen=True)
class Share:
    """A share of rows, 0..1, with its 95% interval over the clusters of rows."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class CascadeScore:
    """How a cascade does on the rows of a split."""

    rows: int
    answered_by_student: float  # share, 0..1
    accuracy: Share
    accuracy_of_teachers: Share
    accuracy_of_student: Share
    gain_over_teachers: Share
    milliseconds: float | None  # a text, on average; None if the run measured no latency


@dataclass(frozen=True)
class Cascade:
    """A cascade and its promise.

    Attributes:
        run: the key of the run that it was made for.
        threshold: the student answers at this probability of its class or above.
        lose: the accuracy that it may lose against the teachers, in points.
        confidence: of the promise, 0..1.
        validation, test: how it does there; the threshold was chosen on validation.
    """

    run: str
    threshold: float
    lose: float
    confidence: float
    validation: CascadeScore
    test: CascadeScore | None


def make_cascade(run: RunFolder, *, lose: float) -> Cascade:
    """Choose the threshold of a run's cascade.

    Args:
        run: a finished run with teachers.
        lose: the accuracy that it may lose against the teachers, in points, above 0.

    Raises:
        Refused: the run has no classes, teachers or validation rows, or the promise cannot be
            certified on them.
    """
    _check_lose(lose)
    _check_run(run)
    found = read_answers(run, "validation")
    threshold = certify(found, lose / 100, run.result.data.classes)
    if threshold is None:
        raise _not_certified(found, lose)
    try:
        tested: Answers | None = read_answers(run, "test")
    except DistillError:
        tested = None  # the split has no test rows
    return Cascade(
        run=run.result.key,
        threshold=threshold,
        lose=lose,
        confidence=1 - LEVEL,
        validation=score(found, threshold, run.result),
        test=None if tested is None else score(tested, threshold, run.result),
    )


def certify(found: Answers, limit: float, classes: tuple[str, ...]) -> float | None:
    """Return the lowest threshold that keeps the promise; None if none below certainty does.

    Args:
        found: on validation.
        limit: the largest loss of accuracy, 0..1.
        classes: of the task.
    """
    kept = None
    for threshold in _thresholds(len(classes)):
        if p_value(found.losses(threshold), found.clusters, limit) > LEVEL:
            break
        kept = threshold
    answered = kept is not None and (found.sure >= kept).any()
    return kept if answered else None


def _thresholds(classes: int) -> Iterator[float]:
    """Yield the thresholds in the order of their tests, fixed before the labels are seen."""
    least = 1 / classes
    for step in range(_STEPS + 1):
        yield 1 - (1 - least) * step / _STEPS


def score(found: Answers, threshold: float, result: RunResult) -> CascadeScore:
    """Score a cascade with this threshold on the rows of a split."""
    by_student = found.sure >= threshold
    together = np.where(by_student, found.right, found.taught)
    share = float(by_student.mean())
    return CascadeScore(
        rows=len(by_student),
        answered_by_student=share,
        accuracy=_share(together, found.clusters),
        accuracy_of_teachers=_share(found.taught, found.clusters),
        accuracy_of_student=_share(found.right, found.clusters),
        gain_over_teachers=_share(-found.losses(threshold), found.clusters, low=-1.0),
        milliseconds=_milliseconds(result, share),
    )


def _share(values: np.ndarray, clusters: np.ndarray, *, low: float = 0.0) -> Share:
    reach: Interval = interval_over_clusters(mean_contributions(values, clusters), low, 1.0)
    return Share(float(values.mean()), reach.low, reach.high)


def _milliseconds(result: RunResult, share: float) -> float | None:
    """Return the mean time of a text: the student reads all, each teacher what is left."""
    if result.latency is None:
        return None
    times = {name: one.milliseconds for name, one in result.latency.models.items()}
    teachers = sum(time for name, time in times.items() if name != STUDENT)
    return times[STUDENT] + (1 - share) * teachers


def read_answers(run: RunFolder, split: str) -> Answers:
    """Read what student and teachers answered on a split.

    Raises:
        DistillError: the run has no predictions on it, or they are damaged.
    """
    result = run.result
    task, classes = find_task(result.data.task), result.data.classes
    folder = run.folder / FOLDER
    one = f"{TEACHERS}/{result.teachers[0].name}"
    place = TOGETHER if len(result.teachers) > 1 else one
    ours = read_predictions(folder / f"{split}.csv", task, classes)
    theirs = read_predictions(folder / place / f"{split}.csv", task, classes)
    return answers_of(ours, theirs)


def answers_of(ours: SplitPredictions, theirs: SplitPredictions) -> Answers:
    """Return the answers of a student and its teachers on the same rows."""
    if ours.ids != theirs.ids:
        raise DistillError("The student's predictions and the teachers' are of different rows.")
    return Answers(
        sure=confidence(ours.logits),
        right=ours.logits.argmax(-1) == ours.labels,
        taught=theirs.logits.argmax(-1) == theirs.labels,
        clusters=ours.clusters,
    )


def confidence(logits: np.ndarray) -> np.ndarray:
    """Return the probability of each row's class. [rows]; logits are [rows, classes]."""
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    found: np.ndarray = 1 / shifted.sum(-1)
    return found


def _check_lose(lose: float) -> None:
    if not 0 < lose < 100:
        raise Refused(
            "The accuracy that a cascade may lose is out of range.",
            key="--lose",
            value=lose,
            rule="points of accuracy, above 0 and below 100",
            way_out="--lose 0.5",
        )


def _check_run(run: RunFolder) -> None:
    """Refuse a run whose student and teachers cannot answer in turns."""
    result = run.result
    faults = {
        "its task has no classes": result.data.task != TaskKind.classification.value,
        "it has no teachers": not result.teachers,
        "a teacher is a file of answers, which cannot answer other texts": any(
            teacher.answers is not None for teacher in result.teachers
        ),
        "it has no validation rows": not (run.folder / FOLDER / "validation.csv").is_file(),
    }
    fault = next((what for what, holds in faults.items() if holds), None)
    if fault is not None:
        raise Refused(
            f"This run cannot make a cascade: {fault}.",
            key="RUN",
            value=str(run.folder),
            rule="a run with classes, teachers and validation rows",
        )


def _not_certified(found: Answers, lose: float) -> Refused:
    rows, clusters = len(found.right), len(np.unique(found.clusters))
    needed = fewest_rows(lose / 100, LEVEL)
    what = f"A loss of at most {lose:g} points cannot be promised"
    if clusters < needed:
        what = f"{what} on {rows:,} validation rows in {clusters:,} clusters."
        rule = f"at least {needed:,} clusters of rows, even if the student never lost one"
    else:
        what = f"{what}: the student loses too often where it is surest."
        rule = "a student that is as good as its teachers where it is surest"
    return Refused(
        what,
        key="--lose",
        value=lose,
        rule=rule,
        way_out=f"a larger --lose, or more rows: dataset.split.validation={2 * needed}",
    )
