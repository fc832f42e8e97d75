"""Settings of the machine, of the folders and of the tracker."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Optional

from omegaconf import MISSING

from distill_runner.config.schema.rules import AT_LEAST_0, AT_LEAST_1, Range, rule


class Device(Enum):
    """The device that a run computes on."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Precision(Enum):
    """The number format of the computation."""

    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"


@dataclass
class Tracker:
    """The tracker that records a run's curves."""

    # the class that takes the curves, by its full name: a subclass of tracking.trackers.Tracker
    _target_: str = MISSING
    # the project under which runs are filed
    project: str = "distill-run"
    # runs of one group are shown together; null: a sweep's runs, and no group for a single run
    group: Optional[str] = None
    # labels of the run, besides the profile's and the data set's names
    tags: list[str] = field(default_factory=list)
    # optimiser steps between two points of a curve
    every: int = field(default=10, metadata=AT_LEAST_1)
    # settings of that class: the fields of a dataclass
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass
class Runtime:
    """How a run uses the machine."""

    # auto: the GPU if there is one
    device: Device = Device.auto
    # auto: bfloat16 on a GPU, float32 on a CPU
    precision: Precision = Precision.auto
    # CPU threads of each process; 0: all cores, shared among the processes
    threads: int = field(default=0, metadata=AT_LEAST_0)
    # on a CPU, train stages that do not wait for each other in this many processes
    processes: int = field(default=1, metadata=AT_LEAST_1)
    # on a GPU, use only kernels that repeat to the bit; resuming needs it
    deterministic: bool = True
    # torch.compile; pays off on a GPU over many steps
    compile: bool = False
    # compute the last layer only for the first token, if the head reads no other; same logits
    first_token_only: bool = True
    # train only the words that the stage's texts contain, and decay the others at its end
    cut_vocabulary: bool = True
    # on a CPU, remove the padding of batches that have much of it; same logits
    leave_padding_out: bool = True
    # on a CPU, draw dropout masks from 16 random bits per number; the masks differ
    cheap_dropout: bool = True
    # keep freed memory in the process between steps, under glibc
    keep_freed_memory: bool = True
    # write a checkpoint inside a stage at least this often
    checkpoint_seconds: float = field(
        default=300.0, metadata=rule(Range("above 0 and finite", low_open=True))
    )


@dataclass
class Paths:
    """The folders that are searched for models and data sets before the hub is asked."""

    # a folder; a model lies in DIR/<whole id> or DIR/<its last part>
    models: Optional[str] = None
    # a folder; a data set lies in DIR/<id>/<subset>, DIR/<last part>/<subset> or DIR/<subset>
    datasets: Optional[str] = None


@dataclass
class Store:
    """The store of finished work."""

    # trained teachers, finished stages and cached logits
    dir: str = "outputs/store"
