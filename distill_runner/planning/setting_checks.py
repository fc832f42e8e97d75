"""Checks the settings that do not depend on the method; `stage_checks` checks the others."""

from __future__ import annotations

from distill_runner.config.schema import (
    BaselineSteps,
    Combine,
    Config,
    Dataset,
    NoiseKind,
    SplitScheme,
    TaskKind,
    Teacher,
    WeighBy,
)
from distill_runner.config.schema.rules import check_values
from distill_runner.errors import Refused
from distill_runner.planning.stages import PRETRAIN, UNLABELLED
from distill_runner.tasks.rules import RANKING, check_classes, rules_of

_SPLITS = ("train", "quiz", "validation", "test", "rest", UNLABELLED)


def _rule(holds: bool, *, key: str, value: object, rule: str, way_out: str | None = None) -> None:
    if not holds:
        raise Refused(f"{key} is out of range.", key=key, value=value, rule=rule, way_out=way_out)


def check_settings(config: Config) -> None:
    """Check every value by itself, then the rules between several keys.

    Raises:
        Refused: the first value that breaks a rule.
    """
    check_values(config)
    noisy = config.noise.kind is not NoiseKind.none
    _rule(
        noisy or config.noise.p == 0,
        key="noise.p",
        value=config.noise.p,
        rule="0 without a kind of noise",
        way_out="noise=replace_word noise.p=0.2",
    )
    training = config.training
    _rule(
        training.accumulate <= training.batch_size,
        key="training.accumulate",
        value=training.accumulate,
        rule="1..batch_size micro-batches",
    )
    _check_dataset(config.dataset, "")
    _check_teachers(config.teacher, "")
    _check_pretrain(config)
    _check_robustness(config)
    _check_baseline(config)
    _check_answers(config)


def _check_pretrain(config: Config) -> None:
    pretrain = config.pretrain
    if pretrain.dataset is not None:
        _check_dataset(pretrain.dataset, "pretrain.")
    if pretrain.teacher is not None:
        _check_teachers(pretrain.teacher, "pretrain.")
        _rule(
            pretrain.dataset is not None or not pretrain.teacher.count,
            key="pretrain.teacher.models",
            value=pretrain.teacher.models,
            rule="teachers of pretrain.dataset, which is null; the task's teach on the task's rows",
            way_out="dataset@pretrain.dataset=wikiqa, or no teacher@pretrain.teacher",
        )


def _check_dataset(dataset: Dataset, prefix: str) -> None:
    metrics, names = dataset.metrics, [metric.value for metric in dataset.metrics]
    _rule(
        0 < len(metrics) == len(set(metrics)),
        key=f"{prefix}dataset.metrics",
        value=names,
        rule="one metric or more, each once; the first chooses epochs and jobs",
    )
    _check_task(dataset, prefix)
    _rule(
        dataset.group is not None or not set(metrics) & set(RANKING),
        key=f"{prefix}dataset.metrics",
        value=names,
        rule="map and mrr rank the rows of a group, so they need dataset.group",
        way_out="dataset.group=COLUMN, such as question",
    )
    if dataset.label_names is not None:
        check_classes(dataset, len(dataset.label_names))
    grouped = SplitScheme(dataset.split.scheme) is SplitScheme.grouped
    _rule(
        dataset.group is None or not grouped,
        key=f"{prefix}dataset.split.scheme",
        value="grouped",
        rule="random with dataset.group: rows are kept together by it, not by their phrases",
        way_out="dataset.split.scheme=random, or dataset.group=null",
    )
    files_only = {"group": dataset.group, "extra": dataset.extra}
    for key, value in files_only.items():
        rule = "left out for a generated corpus, which has no columns and no files"
        _rule(
            not (dataset.generate and value), key=f"{prefix}dataset.{key}", value=value, rule=rule
        )
    for name in dataset.extra:
        usable = name.isidentifier() and name not in _SPLITS and not name.startswith("dropped")
        _rule(
            usable and dataset.extra.count(name) == 1,
            key=f"{prefix}dataset.extra",
            value=name,
            rule="one word, named once, and none of " + ", ".join(_SPLITS),
        )


def _check_task(dataset: Dataset, prefix: str) -> None:
    """Refuse metrics of another task, and settings that this task's labels do not support."""
    rules = rules_of(dataset.task)
    for metric in dataset.metrics:
        _rule(
            metric in rules.metrics,
            key=f"{prefix}dataset.metrics",
            value=metric.value,
            rule=f"metrics of {rules.kind.value}",
            way_out=f"{prefix}dataset.metrics=[{rules.suggested}], or another {prefix}dataset.task",
        )
    _rule(
        rules.no_names is None or not dataset.label_names,
        key=f"{prefix}dataset.label_names",
        value=dataset.label_names,
        rule=f"null under {prefix}dataset.task={rules.kind.value}: {rules.no_names}",
    )
    _rule(
        rules.no_corpus is None or not dataset.generate,
        key=f"{prefix}dataset.task",
        value=dataset.task.value,
        rule=f"classification: {rules.no_corpus}",
        way_out="dataset=stsb, or dataset=files",
    )


def _check_teachers(teacher: Teacher, prefix: str) -> None:
    count = teacher.count
    at = f"{prefix}teacher"
    files = teacher.files
    _rule(
        not (files and teacher.models),
        key=f"{at}.path",
        value=teacher.path,
        rule=f"null if {at}.models names models",
        way_out=f"{at}=file {at}.path=answers.jsonl" if not prefix else f"{at}.models=[]",
    )
    _rule(
        all(files) and len(files) == len(set(files)) and (teacher.path is None or bool(files)),
        key=f"{at}.path",
        value=teacher.path,
        rule="a file, or a list of different files, one for each teacher",
        way_out=f"{at}.path=answers.jsonl",
    )
    for name in ("seeds", "learning_rates", "weights", "temperatures"):
        given = getattr(teacher, name)
        _rule(
            given is None or len(given) == count,
            key=f"{at}.{name}",
            value=given,
            rule=f"one for each of the {count} teachers",
        )
    total = sum(teacher.weights or [])
    _rule(
        all(0 < one / total <= 1 for one in teacher.weights or []),
        key=f"{at}.weights",
        value=teacher.weights,
        rule="numbers whose shares of their sum are above 0",
        way_out=f"{at}.weights=[{','.join('1' * count)}]",
    )
    _rule(
        teacher.weights is None or teacher.weigh_by is WeighBy.weights,
        key=f"{at}.weights",
        value=teacher.weights,
        rule=f"null if {at}.weigh_by=validation",
    )


def _check_robustness(config: Config) -> None:
    strengths = config.evaluation.robustness
    _rule(
        strengths is None or (len(strengths) > 0 and len(set(strengths)) == len(strengths)),
        key="evaluation.robustness",
        value=strengths,
        rule="different probabilities, 0..1, at least one",
        way_out="evaluation.robustness=[0.1,0.3], or null",
    )


def _check_baseline(config: Config) -> None:
    duration = config.evaluation.baseline_steps
    _rule(
        duration is not BaselineSteps.best_epoch or config.dataset.split.validation != 0,
        key="evaluation.baseline_steps",
        value=duration.value,
        rule="match or epochs without validation rows, since nothing chooses an epoch",
        way_out="evaluation.baseline_steps=match, or dataset.split.validation=0.1",
    )


def _check_answers(config: Config) -> None:
    """Refuse settings that a task's outputs do not support, such as a mean of probabilities."""
    for dataset, teacher, prefix in datasets_with_teachers(config):
        rules = rules_of(dataset.task)
        under = f"under {prefix}dataset.task={rules.kind.value}"
        _rule(
            rules.no_probabilities is None or teacher.combine is Combine.logit_mean,
            key=f"{prefix}teacher.combine",
            value=teacher.combine.value,
            rule=f"logit_mean {under}: {rules.no_probabilities}",
            way_out=f"{prefix}teacher.combine=logit_mean",
        )
        _rule(
            rules.no_votes is None or teacher.weigh_by is WeighBy.weights,
            key=f"{prefix}teacher.weigh_by",
            value=teacher.weigh_by.value,
            rule=f"weights {under}: {rules.no_votes}",
            way_out=f"{prefix}teacher.weigh_by=weights",
        )
        _rule(
            rules.no_temperatures is None or teacher.temperatures is None,
            key=f"{prefix}teacher.temperatures",
            value=teacher.temperatures,
            rule=f"null {under}: {rules.no_temperatures}",
            way_out=f"{prefix}teacher.temperatures=null",
        )
    rules = rules_of(config.dataset.task)
    _rule(
        rules.no_robustness is None or config.evaluation.robustness is None,
        key="evaluation.robustness",
        value=config.evaluation.robustness,
        rule=f"null under dataset.task={rules.kind.value}: {rules.no_robustness}",
        way_out="evaluation.robustness=null",
    )


def teacher_on(config: Config, data: str) -> Teacher:
    """Return the teachers of a data set; the task's teachers if pretraining names no models."""
    own = config.pretrain.teacher if data == PRETRAIN else None
    return own if own is not None and own.count else config.teacher


def datasets_with_teachers(config: Config) -> list[tuple[Dataset, Teacher, str]]:
    """Return each data set with its teachers and the prefix of its keys."""
    pairs = [(config.dataset, config.teacher, "")]
    if config.pretrain.dataset is not None:
        pairs.append((config.pretrain.dataset, teacher_on(config, PRETRAIN), f"{PRETRAIN}."))
    return pairs


def check_threshold(config: Config, classes: int) -> None:
    """Refuse to fit a decision threshold unless there are two classes and validation rows.

    Raises:
        Refused: the run fits a threshold, and there is nothing to decide or to fit it on.
    """
    wanted, metrics = config.evaluation.threshold, {one.value for one in config.dataset.metrics}
    decided = {"accuracy", "macro_f1", "f1", "matthews"}
    faults = {
        "two classes": config.dataset.task is not TaskKind.classification or classes != 2,
        "validation rows": config.dataset.split.validation == 0,
        f"one of the metrics {', '.join(sorted(decided))}": not metrics & decided,
    }
    for needed, missing in faults.items():
        _rule(
            not (wanted and missing),
            key="evaluation.threshold",
            value=True,
            rule=f"false without {needed}",
            way_out="evaluation.threshold=false",
        )


def check_test_rows(config: Config, rows: int) -> None:
    """Refuse to measure robustness or speed without test rows, before anything is trained.

    Raises:
        Refused: the run measures either of them, and there are no test rows.
    """
    _rule(
        config.evaluation.robustness is None or rows > 0,
        key="evaluation.robustness",
        value=config.evaluation.robustness,
        rule="null if the split has no test rows",
        way_out="evaluation.robustness=null, or dataset.split.test=0.1",
    )
    _rule(
        not config.evaluation.latency or rows > 0,
        key="evaluation.latency",
        value=config.evaluation.latency,
        rule="false if the split has no test rows",
        way_out="evaluation.latency=false, or dataset.split.test=0.1",
    )
