"""The possible sources of a learner's first weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from distill_runner.config.schema import Missing


@dataclass(frozen=True)
class PretrainedWeights:
    """The model's own weights under a fresh classification head."""

    kind: Literal["pretrained"] = field(default="pretrained", init=False)


@dataclass(frozen=True)
class RandomWeights:
    """Weights drawn from the stage's seed."""

    kind: Literal["random"] = field(default="random", init=False)


@dataclass(frozen=True)
class FinetunedClassifier:
    """A classifier that was trained elsewhere, used as it is, head included."""

    kind: Literal["finetuned"] = field(default="finetuned", init=False)


@dataclass(frozen=True)
class EarlierStudent:
    """The student of an earlier stage.

    Args:
        stage: name of the earlier stage.
        fresh_head: keep only the backbone, and put a fresh classification head on it.
    """

    stage: str
    fresh_head: bool = False
    kind: Literal["earlier_student"] = field(default="earlier_student", init=False)


@dataclass(frozen=True)
class TeacherLayers:
    """Layers copied from a teacher, under a fresh classification head.

    Args:
        teacher: name of the teacher's stage.
        finetuned: copy them after that stage; False copies them as they were before it.
    """

    teacher: str
    finetuned: bool
    kind: Literal["teacher_layers"] = field(default="teacher_layers", init=False)


@dataclass(frozen=True)
class AnswersFile:
    """No weights: the answers of a teacher that is a file. Its stage trains nothing.

    Args:
        path: the file, as configured.
        missing: what happens if it lacks more than a few of the training rows.
    """

    path: str
    missing: Missing
    kind: Literal["answers"] = field(default="answers", init=False)


Initialisation = (
    PretrainedWeights
    | RandomWeights
    | FinetunedClassifier
    | EarlierStudent
    | TeacherLayers
    | AnswersFile
)
