"""The configuration schema: every key with its type, range and unit.

Hydra composes `conf/` onto these dataclasses, so that an unknown key or a wrong type fails before
anything heavy is imported. Each range is declared on its field (`rules`), and the comment on or
above a field describes its key in the documentation. `planning` checks the rules that involve
several keys. Nothing here imports torch.

Imports no other folder.
"""

from distill_runner.config.schema.data import (
    Dataset,
    Metric,
    Missing,
    Noise,
    NoiseKind,
    NoiseSeenBy,
    Split,
    SplitScheme,
    TaskKind,
    Unlabelled,
)
from distill_runner.config.schema.machine import (
    Device,
    Paths,
    Precision,
    Runtime,
    Store,
    Tracker,
)
from distill_runner.config.schema.models import (
    BuiltModel,
    Combine,
    Finetune,
    NearChance,
    Start,
    Student,
    Teacher,
    TeacherTraining,
    WeighBy,
)
from distill_runner.config.schema.root import Config, Pretrain, Published
from distill_runner.config.schema.stages import StageConfig, When
from distill_runner.config.schema.training import (
    BaselineSteps,
    Batching,
    ClassWeights,
    Evaluation,
    Schedule,
    Select,
    Training,
    Tune,
)

__all__ = [
    "BaselineSteps",
    "Batching",
    "BuiltModel",
    "ClassWeights",
    "Combine",
    "Config",
    "Dataset",
    "Device",
    "Evaluation",
    "Finetune",
    "Metric",
    "Missing",
    "NearChance",
    "Noise",
    "NoiseKind",
    "NoiseSeenBy",
    "Paths",
    "Precision",
    "Pretrain",
    "Published",
    "Runtime",
    "Schedule",
    "Select",
    "Split",
    "SplitScheme",
    "StageConfig",
    "Start",
    "Store",
    "Student",
    "TaskKind",
    "Teacher",
    "TeacherTraining",
    "Tracker",
    "Training",
    "Tune",
    "Unlabelled",
    "WeighBy",
    "When",
]
