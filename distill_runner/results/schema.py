"""The typed result of a finished run: what result.json holds and reports read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from distill_runner.results.calibration import Calibration
from distill_runner.results.measurements import AtChance, Latency, Robustness, Training
from distill_runner.results.origins import DataResult, Origin, Provenance
from distill_runner.results.scores import Agreement, Gain, GoldenHeadScore, Scores
from distill_runner.results.threshold import Threshold

SCHEMA_VERSION: Literal[3] = 3


@dataclass(frozen=True, kw_only=True)
class ModelResult:
    """What is known about every model that predicts on the task's rows."""

    parameters: Annotated[
        int | None,
        "number of weights, of all models that predict together; null for files of answers",
    ]
    may_have_seen_test_rows: Annotated[
        bool, "it comes from a classifier that was trained elsewhere, on unknown rows"
    ]
    no_better_than_chance: Annotated[
        bool | None, "on test, or on validation without test rows; null without either"
    ]
    chance: Annotated[AtChance | None, "why it counts as no better than chance"]


@dataclass(frozen=True, kw_only=True)
class JointTeachers(ModelResult):
    """All teachers, with their predictions combined."""

    combine: Annotated[str, "how their outputs are joined: `logit_mean` or `prob_mean`"]
    metrics: Annotated[Scores, "by split"]


@dataclass(frozen=True, kw_only=True)
class TrainedModel(ModelResult):
    """A single model."""

    name: Annotated[str, "unique among the models of the run"]
    model: Annotated[str, "hub id or folder"]
    layers: Annotated[tuple[int, ...] | None, "layers kept of it; null: all"]
    steps: Annotated[
        int | None,
        "optimiser steps over all of its stages; 0: used as it is; null for a file of answers",
    ]


@dataclass(frozen=True, kw_only=True)
class FileAnswers:
    """What is known about a teacher that is a file of answers."""

    sha256: Annotated[str, "SHA-256 of the file"]
    answered: Annotated[Mapping[str, int], "how many rows of each split it answers"]


@dataclass(frozen=True, kw_only=True)
class TeacherResult(TrainedModel):
    """A configured teacher."""

    seed: Annotated[int | None, "seed of its fine-tuning; null for a file of answers"]
    metrics: Annotated[Scores, "by split; a file is scored where it answers every row"]
    answers: Annotated[FileAnswers | None, "null if the teacher is a model"] = None


@dataclass(frozen=True, kw_only=True)
class IntermediateResult(TrainedModel):
    """A model that teaches on the way from the teachers to the student."""

    parameters: Annotated[int, "number of weights"]
    steps: Annotated[int, "optimiser steps over all of its stages; 0: used as it is"]
    chosen_rows: Annotated[Mapping[str, int] | None, "how its training rows were chosen"]
    metrics: Annotated[Scores, "by split"]


@dataclass(frozen=True, kw_only=True)
class StudentResult(TrainedModel):
    """The student; its scores are the run's `metrics`."""

    parameters: Annotated[int, "number of weights, of all models that predict together"]
    steps: Annotated[int, "optimiser steps over all of its stages; 0: used as it is"]
    origin: Annotated[Origin, "whose weights it started from"]
    members: Annotated[tuple[str, ...], "stages whose students predict together; empty: one"]
    times_smaller: Annotated[Mapping[str, float], "each teacher's parameters divided by its own"]


@dataclass(frozen=True, kw_only=True)
class BaselineResult(ModelResult):
    """The same student fine-tuned without a teacher."""

    parameters: Annotated[int, "number of weights"]
    steps: Annotated[int, "optimiser steps"]
    fewer_steps: Annotated[bool, "whether it was trained for fewer steps than the student"]
    selection: Annotated[str, "which epoch is kept: `last` or `best_validation`"]
    times_smaller: Annotated[Mapping[str, float], "each teacher's parameters divided by its own"]
    metrics: Annotated[Scores, "by split"]
    training: Annotated[Training, "how it was trained"]
    gain: Annotated[Mapping[str, Gain], "student minus baseline, by split"]


@dataclass(frozen=True, kw_only=True)
class TaughtTeacher:
    """A teacher or peer that the student's stage also trained, as that stage left it."""

    name: Annotated[str, "as among the teachers"]
    model: Annotated[str, "hub id or folder"]
    layers: Annotated[tuple[int, ...] | None, "layers kept of it; null: all"]
    parameters: Annotated[int, "number of weights"]
    validation: Annotated[float, "primary metric on the validation rows"]


@dataclass(frozen=True, kw_only=True)
class TrainingRowsScore:
    """A teacher's accuracy on the rows that the student trains on."""

    in_the_loop_first_epoch: Annotated[float, "measured in the training loop"]
    alone: Annotated[float | None, "measured outside the loop; null after less than an epoch"]


@dataclass(frozen=True, kw_only=True)
class PretrainTeacher:
    """A teacher of the pre-training stage."""

    name: Annotated[str, "name of its stage"]
    model: Annotated[str, "hub id or folder"]
    parameters: Annotated[int | None, "number of weights; null for a file of answers"]
    seed: Annotated[int | None, "seed of its fine-tuning; null for a file of answers"]
    metrics: Annotated[Scores, "on the splits of the pre-training data"]


@dataclass(frozen=True, kw_only=True)
class PretrainResult:
    """A stage on other data than the task's."""

    dataset: Annotated[str, "name of the data set"]
    rows: Annotated[Mapping[str, int], "rows of every split"]
    left_out: Annotated[Mapping[str, Mapping[str, int]], "by file, rows that lack a value"]
    fingerprints: Annotated[Mapping[str, str], "SHA-256 of every split"]
    teachers: Annotated[tuple[PretrainTeacher, ...], "who taught on it"]


@dataclass(frozen=True, kw_only=True)
class StoppedByValidation:
    """The repetition of a chain that validation chose."""

    kept: Annotated[str, "the stage that is deployed"]
    validation: Annotated[Scores, "by stage; not a fair result, since they chose the stage"]


@dataclass(frozen=True, kw_only=True)
class TuningTrial:
    """One training of the student and, if there is a baseline, of it."""

    learning_rate: Annotated[float | None, "of both; null: not varied"]
    epochs: Annotated[int | None, "of both; null: not varied"]
    student: Annotated[float, "validation score of the student, in the first of `scored_by`"]
    baseline: Annotated[float | None, "the same of the baseline; null if none was trained"]


@dataclass(frozen=True, kw_only=True)
class TuningResult:
    """The trials that student and baseline were both given, and what validation chose."""

    trials: Annotated[tuple[TuningTrial, ...], "in the order in which they were made"]
    student: Annotated[int, "position, from 0, of the trial that is best for the student"]
    baseline: Annotated[int | None, "the same for the baseline; null if none was trained"]


@dataclass(frozen=True, kw_only=True)
class BrokenOff:
    """Where a chain ended because it could not continue."""

    before: Annotated[str, "the first stage that was not carried out"]
    because: Annotated[str, "why"]
    kept: Annotated[str, "the stage that is deployed"]


@dataclass(frozen=True, kw_only=True)
class PublishedFigure:
    """A published figure on the same data set."""

    accuracy: Annotated[float, "in percent"]
    dataset: Annotated[str, "name"]
    split: Annotated[str, "the source's split"]
    rows: Annotated[int, "of that split"]
    source: Annotated[str, "paper and table"]
    train_rows: Annotated[int | None, "training rows of the source; null: not stated"]


@dataclass(frozen=True, kw_only=True)
class StageResult:
    """A stage of the plan."""

    role: Annotated[str, "`teacher`, `pretrain_teacher`, `student` or `baseline`"]
    key: Annotated[str, "its artifact's name in the store"]
    trained_now: Annotated[bool, "whether this run trained it; false: it was in the store"]
    training_seconds: Annotated[float, "seconds that its training took, in this run or earlier"]


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """A finished run."""

    schema_version: Annotated[Literal[3], "version of this format"] = SCHEMA_VERSION
    status: Annotated[Literal["finished"], "only finished runs have a result"] = "finished"
    key: Annotated[str, "hash of the keys of all stages; equal for equal runs"]
    method: Annotated[str, "name of the method"]
    seed: Annotated[int, "seed of the student"]
    experiment: Annotated[str | None, "the experiment's file, if one was chosen"]
    profile: Annotated[str, "the profile's name"]
    dataset: Annotated[str, "the data set's name in the configuration"]
    formula: Annotated[str, "loss of the deployed stage"]
    primary_metric: Annotated[str, "the metric that models are compared by; it has an interval"]
    scored_by: Annotated[
        tuple[str, ...], "`dataset.metrics`; the first one chooses epochs and jobs"
    ]
    selection: Annotated[str, "which epoch is kept: `last` or `best_validation`"]
    max_steps: Annotated[int | None, "`training.max_steps`"]
    overrides: Annotated[tuple[str, ...], "what was typed"]
    published: Annotated[PublishedFigure | None, "a published figure, if there is one"]
    teachers: Annotated[tuple[TeacherResult, ...], "in the order of the configuration"]
    together: Annotated[JointTeachers | None, "null below two teachers"]
    between: Annotated[tuple[IntermediateResult, ...], "in the order of training"]
    trained_teachers: Annotated[tuple[TaughtTeacher, ...], "empty if teachers stay frozen"]
    pretrain: Annotated[PretrainResult | None, "null without a stage on other data"]
    student: Annotated[StudentResult, "the deployed model"]
    random_models: Annotated[tuple[str, ...], "models that started from random weights"]
    metrics: Annotated[
        Scores,
        "the student's scores by split; `selection_on_validation` if validation chose the epoch, "
        "the repetition or the trial, and so is not a fair result",
    ]
    golden_head: Annotated[
        Mapping[str, GoldenHeadScore] | None, "by split; null without soft heads"
    ]
    baseline: Annotated[BaselineResult | None, "null if none was trained"]
    stopped: Annotated[StoppedByValidation | None, "null if validation chose no repetition"]
    tuning: Annotated[TuningResult | None, "null if nothing was tuned"] = None
    broken_off: Annotated[BrokenOff | None, "null if every stage was carried out"]
    agreement: Annotated[Mapping[str, Agreement], "by split; empty without teachers"]
    calibration: Annotated[Calibration | None, "null for scores, which have no probabilities"]
    threshold: Annotated[Threshold | None, "null without `evaluation.threshold`"] = None
    robustness: Annotated[Robustness | None, "null without `evaluation.robustness`"]
    latency: Annotated[Latency | None, "null without `evaluation.latency`"]
    training: Annotated[Training, "of the deployed stage"]
    teachers_on_training_rows: Annotated[
        Mapping[str, TrainingRowsScore], "by teacher, if teachers predict in the training loop"
    ]
    data: Annotated[DataResult, "the task's rows"]
    stages: Annotated[Mapping[str, StageResult], "by name, in the order of the plan"]
    versions: Annotated[Mapping[str, str], "packages that the deployed stage was trained with"]
    provenance: Annotated[Provenance, "of this command"]
