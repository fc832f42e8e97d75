"""The configuration's shape: what may be set, of which type, in which unit.

Hydra composes `conf/` onto these dataclasses, so an unknown key or a wrong type
fails before anything heavy is imported. Ranges and cross-field rules are checked
in `rules.py` and `planning.py`. Nothing here imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Optional

from omegaconf import MISSING


class SplitScheme(Enum):
    random = "random"
    grouped = "grouped"


class TaskKind(Enum):
    classification = "classification"
    regression = "regression"  # labels are numbers


class Missing(Enum):
    refuse = "refuse"
    drop = "drop"


class Metric(Enum):
    accuracy = "accuracy"
    macro_f1 = "macro_f1"
    f1 = "f1"  # of class 1; two classes
    matthews = "matthews"
    map = "map"  # of each group's rows, ranked by class 1; two classes
    mrr = "mrr"
    pearson = "pearson"  # of scores; regression
    spearman = "spearman"


class Select(Enum):
    last = "last"
    best_validation = "best_validation"


class BaselineSteps(Enum):
    match = "match"  # as many optimiser steps as the deployed learner, where that is more
    epochs = "epochs"  # training.epochs over its own rows
    best_epoch = "best_epoch"  # as match; of its epochs the one best on validation is kept


class Schedule(Enum):
    linear = "linear"
    cosine = "cosine"
    constant = "constant"


class Batching(Enum):
    by_length = "by_length"
    random = "random"


class Start(Enum):
    pretrained = "pretrained"
    teacher = "teacher"
    pretrained_teacher = "pretrained_teacher"
    random = "random"


class Combine(Enum):
    logit_mean = "logit_mean"
    prob_mean = "prob_mean"


class WeighBy(Enum):
    weights = "weights"
    validation = "validation"


class When(Enum):
    auto = "auto"
    never = "never"


class Finetune(Enum):
    auto = "auto"
    always = "always"
    never = "never"


class NearChance(Enum):
    refuse = "refuse"
    allow = "allow"


class NoiseKind(Enum):
    none = "none"
    replace_word = "replace_word"
    mask = "mask"
    delete = "delete"
    swap = "swap"


class NoiseSeenBy(Enum):
    student = "student"
    both = "both"


class TrackerKind(Enum):
    wandb = "wandb"
    jsonl = "jsonl"
    none = "none"


class Device(Enum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Precision(Enum):
    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"


@dataclass
class Training:
    """How one learner is trained."""

    epochs: int = 15  # passes over the training rows
    batch_size: int = 32  # rows per optimiser step
    learning_rate: float = 2.0e-5  # AdamW, at the end of warm-up
    weight_decay: float = 0.01  # AdamW; biases and LayerNorm are left out
    warmup_fraction: float = 0.06  # share of all steps, 0..1
    schedule: Schedule = Schedule.linear  # after warm-up: down to zero, or held
    clip_norm: float = 1.0  # largest gradient norm of a learner; 0 disables
    max_steps: Optional[int] = None  # stop every stage of a student after so many steps
    select: Select = Select.last  # which epoch's weights are kept
    batching: Batching = Batching.random  # by_length: sentences of like length share a batch
    accumulate: int = 1  # micro-batches per optimiser step


@dataclass
class TeacherTraining:
    """How a teacher is fine-tuned before it teaches; the rest is as in `Training`."""

    epochs: int = 3
    batch_size: int = 32
    learning_rate: float = 2.0e-5
    max_steps: Optional[int] = None  # stop after so many optimiser steps


@dataclass
class Teacher:
    """A set of teachers and how their signals become one."""

    models: list[str] = field(default_factory=list)  # hub ids or folders
    seeds: Optional[list[int]] = None  # of each; null: 1001, 1002, …, of pretrain.teacher 2001, …
    learning_rates: Optional[list[float]] = None  # of each; null: training.learning_rate
    combine: Combine = Combine.logit_mean
    weights: Optional[list[float]] = None  # of each teacher in the mean; null: equal
    weigh_by: WeighBy = WeighBy.weights  # validation: by each teacher's accuracy there
    temperatures: Optional[list[float]] = None  # of each, its logits divided by it; null: 1
    finetune: Finetune = Finetune.auto  # auto: unless it is a classifier already
    labels: Optional[list[str]] = None  # names of a taken classifier's outputs
    near_chance: NearChance = NearChance.refuse
    training: TeacherTraining = field(default_factory=TeacherTraining)


@dataclass
class Student:
    """The model that is trained and deployed."""

    model: str = MISSING  # hub id or folder: architecture, tokenizer, weights
    # own weights, layers of the first teacher (fine-tuned, or as it was before), or random
    start: Start = Start.pretrained
    layers: Optional[list[int]] = None  # which layers of the start to keep, 0-based


@dataclass
class Split:
    """How many rows go where; below 1 is a share of the rows, else a count."""

    scheme: SplitScheme = SplitScheme.grouped
    train: Optional[float] = None  # null: all that is left
    quiz: float = 0
    validation: Optional[float] = None  # null: the data's own file, whole
    test: Optional[float] = None  # null: the data's own file, whole


@dataclass
class Unlabelled:
    """Texts without labels, for stages that learn from teachers alone; none by default."""

    path: Optional[str] = None  # file, or folder with train.*
    hub: Optional[str] = None  # hub id, used when path is null
    subset: Optional[str] = None  # the hub data set's configuration
    generate: int = 0  # rows of the synthetic corpus
    text: Any = None  # column, or a list of two columns; null: as the labelled rows'
    rows: Optional[int] = None  # the first so many; null: all
    missing: Optional[Missing] = None  # rows without text; null: as the labelled rows'


@dataclass
class Dataset:
    """Labelled texts and how they are cut."""

    name: str = MISSING
    task: TaskKind = TaskKind.classification
    path: Optional[str] = None  # file, or folder with train.*, validation.*, test.*
    hub: Optional[str] = None  # hub id, used when path is null
    subset: Optional[str] = None  # the hub data set's configuration
    generate: int = 0  # rows of the synthetic corpus; 0: not synthetic
    text: Any = "text"  # column, or a list of two columns
    label: str = "label"  # column: of classes, or of numbers under task=regression
    label_names: Optional[list[str]] = None  # of classes 0, 1, …; null: as found
    no_label: Optional[str] = None  # the label that marks rows without one; they are dropped
    missing: Missing = Missing.refuse  # what becomes of rows whose text or label is empty
    group: Optional[str] = None  # column; rows alike in it are never parted, and are ranked
    metrics: list[Metric] = field(
        default_factory=lambda: [Metric.accuracy, Metric.macro_f1]
    )  # the first chooses the epoch under training.select=best_validation
    extra: list[str] = field(default_factory=list)  # splits scored too; hard: validation_hard.*
    split: Split = field(default_factory=Split)
    split_seed: int = 1
    max_tokens: int = 128  # longer texts are cut, special tokens included
    unlabelled: Unlabelled = field(default_factory=Unlabelled)


@dataclass
class Pretrain:
    """What a method's first stage learns from, where that is not the task itself."""

    dataset: Optional[Dataset] = None  # null: the task's
    teacher: Optional[Teacher] = None  # null, or without models: as the task's


@dataclass
class Noise:
    """What happens to a training sentence before a learner reads it."""

    kind: NoiseKind = NoiseKind.none
    p: float = 0.0  # chance of each word, 0..1
    seen_by: NoiseSeenBy = NoiseSeenBy.both
    word: str = "noise_word"  # what replace_word puts in


@dataclass
class Evaluation:
    """What is measured of the trained models, beside their accuracy."""

    baseline_steps: BaselineSteps = BaselineSteps.match  # how long "no teacher" is trained
    robustness: Optional[list[float]] = None  # chances of each word, 0..1; null: not measured
    latency: bool = False  # time teachers and student on test rows, one by one and in batches


@dataclass
class Tracker:
    """Where curves go."""

    kind: TrackerKind = TrackerKind.wandb
    project: str = "distill-run"
    group: Optional[str] = None
    tags: list[str] = field(default_factory=list)
    every: int = 10  # optimiser steps between two points of a curve


@dataclass
class Runtime:
    """The machine, as far as it is ours to set."""

    device: Device = Device.auto
    precision: Precision = Precision.auto
    threads: int = 0  # of the CPU, for each process; 0: all there are, shared among them
    processes: int = 1  # on a CPU, stages that do not wait for each other, side by side
    deterministic: bool = True  # on a GPU: kernels that repeat to the bit, and decide the key
    compile: bool = False  # torch.compile
    first_token_only: bool = True  # the last layer, where the head reads no other token
    cut_vocabulary: bool = True  # train the words that a stage reads, decay the others at its end
    leave_padding_out: bool = True  # on a CPU, where a batch has much of it
    cheap_dropout: bool = True  # on a CPU: masks of 16 bits a number
    keep_freed_memory: bool = True  # glibc returns none to the system between steps
    checkpoint_seconds: float = 300.0  # at most, between two checkpoints inside a stage


@dataclass
class BuiltModel:
    """A small model built here, from random, in place of one that would be fetched."""

    family: str = MISSING  # bert | roberta | distilbert
    layers: int = 2
    width: int = 64
    heads: int = 4
    feedforward: int = 128
    dropout: float = 0.0  # everywhere
    vocabulary: int = 1000  # entries of the tokenizer, trained on the training texts


@dataclass
class Paths:
    """Where hub ids are looked for before the hub is asked."""

    models: Optional[str] = None
    datasets: Optional[str] = None


@dataclass
class Store:
    dir: str = "outputs/store"


@dataclass
class StageConfig:
    """One stage of a method: which algorithm trains the student, from where, on what."""

    algorithm: Any = MISSING  # _target_ and its constructor's arguments
    repeat: Any = None  # a number of times, or a list: what each learner has unlike the student
    start: str = "student"  # "student", or the name of an earlier stage
    student_start: Optional[Start] = None  # where no earlier stage went; null: student.start
    # teachers, first, each, previous, pretrain_teachers, pretrain_first, earlier stages (*)
    teachers: list[str] = field(default_factory=list)
    rows: str = "train"  # train, or unlabelled
    data: str = "task"  # task, or pretrain: what config.pretrain names, if it names any
    fresh_head: bool = False  # of the stage that `start` names, keep the body alone
    stop: bool = False  # its repetitions end where validation gets no better; the best is kept
    together: bool = False  # its repetitions are deployed together, their probabilities averaged
    epochs: Optional[int] = None  # null: training.epochs; 0: the stage is left out
    untrained: bool = False  # leaves the learner at its start
    seed_offset: int = 0  # added to the run's seed, for a learner that must start elsewhere
    with_quiz_rows: bool = False  # train on the quiz rows too
    noisy: bool = True  # whether `noise` applies
    when: When = When.auto  # never: the stage is left out
    learning_rate: Optional[float] = None  # null: training.learning_rate


@dataclass
class Published:
    """A figure from elsewhere, shown beside ours on the same data set, with its source."""

    accuracy: float = MISSING  # percent
    dataset: str = MISSING  # its name
    split: str = MISSING  # theirs: test, or the official validation rows
    rows: int = MISSING  # of that split
    source: str = MISSING
    train_rows: Optional[int] = None  # that theirs learnt from; null: not told, or as ours


@dataclass
class Config:
    seed: int = 1
    training: Training = field(default_factory=Training)
    method: Any = MISSING  # its YAML is its schema; methods.construct checks the types
    teacher: Teacher = field(default_factory=Teacher)
    student: Student = field(default_factory=Student)
    dataset: Dataset = field(default_factory=Dataset)
    noise: Noise = field(default_factory=Noise)
    pretrain: Pretrain = field(default_factory=Pretrain)
    evaluation: Evaluation = field(default_factory=Evaluation)
    tracker: Tracker = field(default_factory=Tracker)
    runtime: Runtime = field(default_factory=Runtime)
    models: dict[str, BuiltModel] = field(default_factory=dict)
    paths: Paths = field(default_factory=Paths)
    store: Store = field(default_factory=Store)
    published: Optional[Published] = None
    profile: str = "full"
    experiment: Optional[str] = None
    output_dir: str = MISSING
    dry_run: bool = False
    force: bool = False
