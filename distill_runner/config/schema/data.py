"""The rows of a run: labelled texts, texts without labels, splits and noise."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Optional

from omegaconf import MISSING

from distill_runner.config.schema.rules import (
    ABOVE_0,
    AT_LEAST_0,
    AT_LEAST_1,
    ROWS_OR_SHARE,
    SHARE,
    Range,
    rule,
)


class SplitScheme(Enum):
    """How rows are divided into splits."""

    random = "random"
    grouped = "grouped"


class TaskKind(Enum):
    """The kind of task."""

    classification = "classification"
    regression = "regression"
    multi_label = "multi_label"


class Missing(Enum):
    """What happens to rows without a text or a label."""

    refuse = "refuse"
    drop = "drop"


class Metric(Enum):
    """The metrics that a data set can be scored by."""

    accuracy = "accuracy"
    macro_f1 = "macro_f1"
    f1 = "f1"  # of class 1; two classes
    matthews = "matthews"
    map = "map"  # of each group's rows, ranked by class 1; two classes
    mrr = "mrr"
    pearson = "pearson"  # of scores; regression
    spearman = "spearman"
    micro_f1 = "micro_f1"  # of sets of labels; multi_label, which has macro_f1 too
    subset_accuracy = "subset_accuracy"


class NoiseKind(Enum):
    """What noise does to a word."""

    none = "none"
    replace_word = "replace_word"
    mask = "mask"
    delete = "delete"
    swap = "swap"


class NoiseSeenBy(Enum):
    """The learners that read noisy texts."""

    student = "student"
    both = "both"


@dataclass
class Split:
    """How rows are divided into splits, and how many each has."""

    # grouped: no test phrase contains, lies inside or equals a training phrase of three words or
    # more; random: rows are drawn one by one, or by dataset.group
    scheme: SplitScheme = SplitScheme.grouped
    # rows to train on; null: all remaining rows
    train: Optional[float] = field(default=None, metadata=ROWS_OR_SHARE)
    # rows held out for MetaDistil's quiz, which no learner trains on
    quiz: float = field(default=0, metadata=ROWS_OR_SHARE)
    # rows to choose an epoch by; null: the official file, or a tenth of the training file's rows
    validation: Optional[float] = field(default=None, metadata=ROWS_OR_SHARE)
    # rows to report on; null: the official file, or a tenth of the training file's rows
    test: Optional[float] = field(default=None, metadata=ROWS_OR_SHARE)


@dataclass
class Unlabelled:
    """Texts without labels, which students learn from their teachers' outputs; none by default."""

    # a file, or a folder with train.*
    path: Optional[str] = None
    # hub id, used when path is null
    hub: Optional[str] = None
    # the hub data set's configuration
    subset: Optional[str] = None
    # rows of the generated corpus, for a first stage on such texts; 0: none
    generate: int = field(default=0, metadata=AT_LEAST_0)
    # also the labelled rows that the split leaves over, their labels hidden, in random order
    rest: bool = False
    # draw at most this many rows without labels for each training row; null: all
    ratio: Optional[float] = field(default=None, metadata=ABOVE_0)
    # a column, or a list of two columns; null: as for the labelled rows
    text: Any = None
    # read only this many rows of the file, from the first; null: all
    rows: Optional[int] = field(default=None, metadata=AT_LEAST_1)
    # refuse or drop rows without text; null: as for the labelled rows
    missing: Optional[Missing] = None

    def __post_init__(self) -> None:
        self.text = _column_names(self.text)

    @property
    def in_files(self) -> bool:
        """Whether a file or a data set of the hub is named."""
        return self.path is not None or self.hub is not None


@dataclass
class Dataset:
    """Labelled texts, and how they are split."""

    # the data set's name in tables, cards and the tracker
    name: str = MISSING
    # classification; regression, whose labels are numbers; multi_label, whose labels are sets
    task: TaskKind = TaskKind.classification
    # a file, or a folder with train.*, validation.*, test.*
    path: Optional[str] = None
    # hub id, used when path is null
    hub: Optional[str] = None
    # the hub data set's configuration
    subset: Optional[str] = None
    # rows of the generated corpus; 0: the data are not generated
    generate: int = field(default=0, metadata=AT_LEAST_0)
    # a column, or a list of two columns
    text: Any = "text"
    # the column of classes; of numbers under dataset.task=regression; of lists of labels under
    # multi_label, or a list of columns of 0 and 1, one for each label
    label: Any = "label"
    # names of classes 0, 1, …; null: the names or numbers found, in order
    label_names: Optional[list[str]] = None
    # the label that marks rows without one; they are dropped and counted
    no_label: Optional[str] = None
    # refuse or drop rows whose text or label is empty
    missing: Missing = Missing.refuse
    # a column; rows with the same value stay in one split, and map and mrr rank them
    group: Optional[str] = None
    # what is scored; training.select=best_validation chooses the epoch by the first
    metrics: list[Metric] = field(default_factory=lambda: [Metric.accuracy, Metric.macro_f1])
    # further splits to score and never to select on; hard reads validation_hard.*
    extra: list[str] = field(default_factory=list)
    split: Split = field(default_factory=Split)
    # seed of the split; runs with other seeds share it
    split_seed: int = field(default=1, metadata=AT_LEAST_0)
    # longer texts are cut to this many tokens, special tokens included
    max_tokens: int = field(default=128, metadata=rule(Range("8 or more", low=8)))
    unlabelled: Unlabelled = field(default_factory=Unlabelled)

    def __post_init__(self) -> None:
        self.text, self.label = _column_names(self.text), _column_names(self.label)


def _column_names(typed: Any) -> Any:
    """Return the column or columns with numbers as text: a column may be called 1."""
    if isinstance(typed, list):
        return [_column_names(one) for one in typed]
    return str(typed) if type(typed) in (int, float) else typed


@dataclass
class Noise:
    """What happens to a training sentence before a learner reads it."""

    # what happens to a word that is hit
    kind: NoiseKind = NoiseKind.none
    # probability that a word is hit, drawn again every epoch
    p: float = field(default=0.0, metadata=SHARE)
    # who reads the noisy sentence: only the student, or its teachers too
    seen_by: NoiseSeenBy = NoiseSeenBy.both
    # the word that noise=replace_word puts in
    word: str = "noise_word"
