"""Checks the settings of a run against what a stage's algorithm needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from distill_runner.config.schema import (
    ClassWeights,
    Config,
    NoiseSeenBy,
    Select,
    StageConfig,
    Student,
    TaskKind,
    Teacher,
    WeighBy,
)
from distill_runner.errors import Refused
from distill_runner.planning.setting_checks import datasets_with_teachers
from distill_runner.planning.stage_context import Context
from distill_runner.planning.stages import PRETRAIN
from distill_runner.tasks.rules import TaskRules, rules_of

if TYPE_CHECKING:
    from distill_runner.methods.base import Algorithm, TeacherUse


def check_algorithm(
    config: Config,
    name: str,
    algorithm: Algorithm,
    *,
    entry: StageConfig,
    teacher: Teacher,
    teaching: tuple[str, ...],
) -> None:
    """Refuse settings that the stage's algorithm cannot work with.

    Args:
        config: the whole configuration.
        name: of the entry in the method's YAML.
        algorithm: trains the stage.
        entry: the entry itself.
        teacher: sets how the outputs of the stage's teachers are combined.
        teaching: names of the stages that teach in this one.

    Raises:
        Refused: a setting does not fit the algorithm.
    """
    needs = algorithm.needs
    _check_teachers(name, entry, needs.teachers, teaching)
    _check_outputs(config, name, algorithm, entry)
    algorithm.check(
        Context(
            stage=name,
            teachers=len(teaching),
            combine=teacher.combine,
            task=_task_of(config, entry.data),
            compiled=config.runtime.compile,
        )
    )
    _check_combined(config, name, algorithm, teacher, teaching)
    _check_accumulation(config, name, algorithm)
    _check_compiled(config, name, algorithm)
    if needs.pool:
        _check_pool(config, name)
    if needs.labels:
        _check_class_weights(config, name, algorithm, entry)
    _check_quiz(config, entry, needed=needs.quiz)
    _check_validation(config)


def _check_accumulation(config: Config, name: str, algorithm: Algorithm) -> None:
    """Refuse micro-batches if their accumulated gradient differs from the whole batch's."""
    if config.training.accumulate > 1 and not algorithm.accumulates:
        raise Refused(
            "Micro-batches would not be equivalent to one batch here: each would have its own "
            "pilot step, or its own mean over tokens.",
            key="training.accumulate",
            value=config.training.accumulate,
            rule=f"1 for the stage {name!r}",
            way_out="training.accumulate=1, and a smaller training.batch_size if memory is short",
        )


def _check_teachers(
    name: str, entry: StageConfig, use: TeacherUse, teaching: tuple[str, ...]
) -> None:
    """Refuse a stage with teachers that its algorithm does not use, or without any."""
    if (use == "none") != (not teaching):
        raise Refused(
            f"The stage {name!r} and its algorithm disagree about teachers.",
            key=f"method.stages.{name}.teachers",
            value=entry.teachers,
            rule="none" if use == "none" else "at least one",
        )


def _check_combined(
    config: Config, name: str, algorithm: Algorithm, teacher: Teacher, teaching: tuple[str, ...]
) -> None:
    """Refuse settings that combine teachers if each teacher has its own soft head."""
    if len(teaching) < 2 or algorithm.needs.joined:
        return
    prefix = "" if teacher is config.teacher else "pretrain."
    for key, value, default in (
        ("weights", teacher.weights, None),
        ("temperatures", teacher.temperatures, None),
        ("weigh_by", teacher.weigh_by.value, WeighBy.weights.value),
    ):
        if value != default:
            raise Refused(
                f"Every teacher has its own soft head in the stage {name!r}: nothing combines "
                "their outputs.",
                key=f"{prefix}teacher.{key}",
                value=value,
                rule=f"{default or 'null'} for this method",
                way_out="method=tkd_avg or one_avg_on_one, which learn from their mean",
            )


def _reads_pretraining_data(config: Config, data: str) -> bool:
    return data == PRETRAIN and config.pretrain.dataset is not None


def _task_of(config: Config, data: str) -> TaskRules:
    """Return the rules of the task that the stage's rows belong to."""
    dataset = config.pretrain.dataset if data == PRETRAIN else None
    return rules_of((dataset or config.dataset).task)


def _check_outputs(config: Config, name: str, algorithm: Algorithm, entry: StageConfig) -> None:
    """Refuse an algorithm that needs classes if the task has none."""
    rules = _task_of(config, entry.data)
    if algorithm.needs.classes and not rules.classes:
        raise Refused(
            f"The stage {name!r} learns from distributions over classes.",
            key=f"{'pretrain.' if _reads_pretraining_data(config, entry.data) else ''}dataset.task",
            value=rules.kind.value,
            rule="classification for this method",
            way_out=f"method=finetune, or method=kd method.soft_loss={rules.soft_loss}",
        )


def _check_compiled(config: Config, name: str, algorithm: Algorithm) -> None:
    if config.runtime.compile and algorithm.needs.teachers == "trained":
        raise Refused(
            "The method repeats forward passes with the same dropout masks; a compiled pass draws "
            "others.",
            key="runtime.compile",
            value=True,
            rule=f"false for the stage {name!r}",
            way_out="runtime.compile=false",
        )


def _check_validation(config: Config) -> None:
    """Refuse settings that need validation rows if there are none."""
    for dataset, teacher, prefix in datasets_with_teachers(config):
        if dataset.split.validation != 0:
            continue
        if teacher.weigh_by is WeighBy.validation:
            raise Refused(
                "Teachers cannot be weighed on an empty validation split.",
                key=f"{prefix if teacher is not config.teacher else ''}teacher.weigh_by",
                value="validation",
                rule=f"needs {prefix}dataset.split.validation",
                way_out="teacher.weigh_by=weights",
            )
        if config.training.select is Select.best_validation:
            raise Refused(
                "Nothing can be selected on an empty validation split.",
                key="training.select",
                value="best_validation",
                rule=f"needs {prefix}dataset.split.validation",
                way_out="training.select=last",
            )


def _check_class_weights(
    config: Config, name: str, algorithm: Algorithm, entry: StageConfig
) -> None:
    """Refuse weighted classes where the loss has none, or where the task has none."""
    if config.training.class_weights is ClassWeights.none:
        return
    rules = _task_of(config, entry.data)
    if rules.kind is TaskKind.regression or algorithm.needs.pool:
        regression = rules.kind is TaskKind.regression
        raise Refused(
            "Scores have no classes to weigh."
            if regression
            else f"The stage {name!r} balances its classes itself: method.balance.",
            key="training.class_weights",
            value="balanced",
            rule=f"none {'under dataset.task=regression' if regression else 'for this method'}",
            way_out="training.class_weights=none",
        )


def _check_pool(config: Config, name: str) -> None:
    if config.noise.seen_by is NoiseSeenBy.both and config.noise.p > 0:
        raise Refused(
            "A teacher that labels a pool must read clean text.",
            key="noise.seen_by",
            value="both",
            rule=f"student, for the stage {name!r}",
            way_out="noise.seen_by=student",
        )


def check_assistants(learners: Sequence[Student], student: Student, *, key: str) -> None:
    """Refuse an assistant that is not larger than the student that it teaches.

    Args:
        learners: the assistants.
        student: the deployed student.
        key: the configuration key of the assistants.

    Raises:
        Refused: an assistant has the student's model and no more layers than the student.
    """

    def depth(learner: Student) -> float:
        return float("inf") if learner.layers is None else len(learner.layers)

    for learner in learners:
        same = (learner.model, learner.start) == (student.model, student.start)
        if same and depth(learner) <= depth(student):
            raise Refused(
                "A model on the way to the student is no larger than the student.",
                key=key,
                value=learner.model,
                rule=f"models between the teacher and {student.model}",
                way_out="method=assistant teacher=bert student=tinybert "
                "'method.assistants=[{model:distilbert-base-uncased}]'",
            )


def check_unlabelled(config: Config, name: str, algorithm: Algorithm, *, pretrain: bool) -> None:
    """Refuse a stage on texts without labels if none are configured, or if it needs labels.

    Args:
        config: the whole configuration.
        name: of the entry in the method's YAML.
        algorithm: trains the stage.
        pretrain: whether the stage reads the pretraining data.

    Raises:
        Refused: no such texts are configured, or the algorithm needs labels.
    """
    dataset = config.pretrain.dataset if pretrain else config.dataset
    assert dataset is not None
    wanted = dataset.unlabelled
    prefix = "pretrain." if pretrain else ""
    if not (wanted.in_files or wanted.rest or wanted.generate):
        raise Refused(
            f"The stage {name!r} learns from texts without labels, and none are named.",
            key=f"{prefix}dataset.unlabelled.path",
            value=None,
            rule="a file with the columns of dataset.text, or a folder with train.*",
            way_out=f"{prefix}dataset.unlabelled.path=pairs.tsv, or a method without that stage",
        )
    if algorithm.needs.labels:
        raise Refused(
            f"The stage {name!r} learns from labels, and its rows have none.",
            key=f"method.stages.{name}.rows",
            value="unlabelled",
            rule="train, or an algorithm that reads no label",
        )


def _check_quiz(config: Config, entry: StageConfig, *, needed: bool) -> None:
    quiz = config.dataset.split.quiz
    if needed and not quiz:
        raise Refused(
            "This method needs a quiz set.",
            key="dataset.split.quiz",
            value=quiz,
            rule="rows held out of training, above 0",
            way_out="dataset.split.quiz=100",
        )
    if entry.with_quiz_rows and (needed or not quiz):
        raise Refused(
            "There are no quiz rows that this stage may train on.",
            key="method.with_quiz_rows",
            value=True,
            rule="needs dataset.split.quiz above 0, and an algorithm that holds no quiz",
        )
