"""The whole configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional

from omegaconf import MISSING

from distill_runner.config.schema.data import Dataset, Noise
from distill_runner.config.schema.machine import Paths, Runtime, Store, Tracker
from distill_runner.config.schema.models import BuiltModel, Student, Teacher
from distill_runner.config.schema.rules import AT_LEAST_1, Range, rule
from distill_runner.config.schema.search import Budget, Frontier
from distill_runner.config.schema.training import Evaluation, Training, Tune


@dataclass
class Pretrain:
    """What a method's first stage learns from, if that is not the task's data."""

    # an option of the group dataset; null: the task's data
    dataset: Optional[Dataset] = None
    # an option of the group teacher; null, or without models: the task's teachers
    teacher: Optional[Teacher] = None


@dataclass
class Published:
    """A published figure, shown next to this run's score on the same data set."""

    # in percent
    accuracy: float = field(default=MISSING, metadata=rule(Range("0..100", high=100)))
    # the data set's name
    dataset: str = MISSING
    # the source's split: test, or the official validation rows
    split: str = MISSING
    # rows of that split
    rows: int = field(default=MISSING, metadata=AT_LEAST_1)
    # where the figure is published
    source: str = MISSING
    # rows the source trained on; null: not stated, or as many as here
    train_rows: Optional[int] = field(default=None, metadata=AT_LEAST_1)


@dataclass
class Config:
    """Everything that can be set."""

    # seed of the student's first weights, row order, dropout and noise; the split has
    # dataset.split_seed, and each teacher has its own seed
    seed: int = 1
    training: Training = field(default_factory=Training)
    # an option of the group method; its YAML file is its schema
    method: Any = MISSING
    teacher: Teacher = field(default_factory=Teacher)
    student: Student = field(default_factory=Student)
    dataset: Dataset = field(default_factory=Dataset)
    noise: Noise = field(default_factory=Noise)
    pretrain: Pretrain = field(default_factory=Pretrain)
    evaluation: Evaluation = field(default_factory=Evaluation)
    tune: Tune = field(default_factory=Tune)
    budget: Budget = field(default_factory=Budget)
    frontier: Frontier = field(default_factory=Frontier)
    tracker: Tracker = field(default_factory=Tracker)
    runtime: Runtime = field(default_factory=Runtime)
    # small models that stand in for downloaded ones, by the id they replace
    models: dict[str, BuiltModel] = field(default_factory=dict)
    paths: Paths = field(default_factory=Paths)
    store: Store = field(default_factory=Store)
    # a published figure to compare with; null: none
    published: Optional[Published] = None
    # the chosen option of the group profile
    profile: str = "full"
    # the chosen option of the group experiment; null: none
    experiment: Optional[str] = None
    # the run's folder
    output_dir: str = MISSING
    # make every check before training, print the plan, and stop
    dry_run: bool = False
    # train the student's stages again even if the store has them
    force: bool = False
