"""Refuses what a teacher that is a file of answers cannot do, and stages left without any rows."""

from __future__ import annotations

from distill_runner.config.schema import ClassWeights, Config, Dataset, NoiseSeenBy, Start, WeighBy
from distill_runner.errors import Refused
from distill_runner.planning.stages import PRETRAIN, TASK, UNLABELLED, Plan, Stage


def check_file_teachers(plan: Plan, config: Config) -> None:
    """Refuse stages that need a model where the teacher is a file.

    Raises:
        Refused: a stage trains its teacher, reads its layers or its language, or shows it noise.
    """
    files = [stage for stage in plan.stages if stage.answers is not None]
    if not files:
        return
    for stage in plan.stages:
        if plan.file_teachers(stage):
            _check_taught(stage, config)
        for name in (stage.backbone_of, stage.layers_of):
            if name is not None and plan.stage(name).answers is not None:
                _check_not_copied(stage, config)


def _check_taught(stage: Stage, config: Config) -> None:
    if stage.algorithm.needs.teachers == "trained":
        raise Refused(
            f"The stage {stage.name!r} trains its teachers, and a file of answers cannot learn.",
            key=_key(stage, "path"),
            value=config.teacher.path,
            rule="models, for a method that trains its teachers",
            way_out="method=kd, or teacher=bert",
        )
    noise = stage.noise
    if noise is not None and noise.seen_by is NoiseSeenBy.both:
        raise Refused(
            "A file of answers cannot read noisy texts.",
            key="noise.seen_by",
            value="both",
            rule="student, under a teacher that is a file",
            way_out="noise.seen_by=student",
        )


def _check_not_copied(stage: Stage, config: Config) -> None:
    """Refuse a stage that reads the layers or the language of a model that does not exist."""
    if stage.backbone_of is not None:
        raise Refused(
            f"The stage {stage.name!r} learns its teacher's language, and a file has none.",
            key="teacher.path",
            value=config.teacher.path,
            rule="a model, for a method with a stage on language",
            way_out="method=kd, or teacher=bert",
        )
    if config.student.start not in (Start.teacher, Start.pretrained_teacher):
        raise Refused(
            f"The stage {stage.name!r} starts from its teacher's layers, and a file has none.",
            key="teacher.path",
            value=config.teacher.path,
            rule="a model, for a method that copies its teacher's layers",
            way_out="method=kd, or teacher=bert",
        )
    raise Refused(
        "A student cannot start from the layers of a file of answers.",
        key="student.start",
        value=config.student.start.value,
        rule="pretrained or random, under a teacher that is a file",
        way_out="student.start=pretrained",
    )


def learns_no_labels(config: Config, data: str) -> bool:
    """Return whether the split leaves no labelled row to learn from."""
    return _dataset(config, data).split.train == 0


def check_training_rows(plan: Plan, config: Config) -> None:
    """Refuse an empty training split if a stage needs its labels.

    Raises:
        Refused: a stage learns from labels, or a ratio refers to the labelled rows.
    """
    for stage in plan.stages:
        if not learns_no_labels(config, stage.data) or not stage.training.epochs:
            continue
        prefix = "" if stage.data == TASK else f"{PRETRAIN}."
        if stage.rows != (UNLABELLED,) and stage.reads_task:
            raise Refused(
                f"The stage {stage.name!r} learns from labelled rows, and the split leaves none.",
                key=f"{prefix}dataset.split.train",
                value=0,
                rule="above 0, unless every stage learns from texts without labels and from "
                "teachers that are not trained on the rows",
                way_out="method=kd teacher=file teacher.path=answers.jsonl "
                "dataset.unlabelled.path=texts.csv, or dataset.split.train=null",
            )
        if stage.training.class_weights is ClassWeights.balanced:
            raise Refused(
                "Without labelled rows there are no classes to balance.",
                key="training.class_weights",
                value="balanced",
                rule=f"none if {prefix}dataset.split.train=0",
                way_out="training.class_weights=none",
            )
        if _dataset(config, stage.data).unlabelled.ratio is not None:
            raise Refused(
                "A ratio to the labelled training rows has no meaning without any.",
                key=f"{prefix}dataset.unlabelled.ratio",
                value=_dataset(config, stage.data).unlabelled.ratio,
                rule=f"null if {prefix}dataset.split.train=0",
                way_out=f"{prefix}dataset.unlabelled.rows=5000",
            )


def check_weights(plan: Plan, config: Config) -> None:
    """Refuse weights by validation accuracy for files, whose answers may not cover those rows.

    Raises:
        Refused: teachers that are files are weighed by validation.
    """
    for name in (*plan.teachers, *plan.pretrain_teachers):
        stage = plan.stage(name)
        teacher = config.teacher if stage.data == TASK else config.pretrain.teacher
        teacher = teacher or config.teacher
        if stage.answers is not None and teacher.weigh_by is WeighBy.validation:
            raise Refused(
                "Files of answers need not answer the validation rows, so these cannot weigh them.",
                key=_key(stage, "weigh_by"),
                value="validation",
                rule="weights, for teachers that are files",
                way_out=f"{_key(stage, 'weights')}=[2,1]",
            )


def _dataset(config: Config, data: str) -> Dataset:
    own = config.pretrain.dataset if data == PRETRAIN else None
    return own or config.dataset


def _key(stage: Stage, setting: str) -> str:
    return f"{'' if stage.data == TASK else f'{PRETRAIN}.'}teacher.{setting}"
