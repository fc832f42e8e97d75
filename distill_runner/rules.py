"""What a setting may be: the range of each, and what an algorithm asks of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distill_runner.errors import Refused
from distill_runner.plan import PRETRAIN
from distill_runner.schema import (
    Combine,
    Config,
    Dataset,
    Metric,
    NoiseKind,
    NoiseSeenBy,
    Select,
    Split,
    SplitScheme,
    StageConfig,
    Task,
    Teacher,
    Training,
    WeighBy,
)

if TYPE_CHECKING:
    from distill_runner.methods.base import Algorithm

RANKING = (Metric.map, Metric.mrr)
OF_SCORES = (Metric.pearson, Metric.spearman)
_OF_TWO_CLASSES = (Metric.f1, *RANKING)
_SPLITS = ("train", "quiz", "validation", "test", "rest")


def _rule(holds: bool, *, key: str, value: object, rule: str, way_out: str | None = None) -> None:
    if not holds:
        raise Refused(f"{key} is out of range.", key=key, value=value, rule=rule, way_out=way_out)


def check_settings(config: Config) -> None:
    """Refuse every value that is out of its range, whatever the method.

    Raises:
        Refused: at the first one.
    """
    _check_training(config.training, "training")
    _rule(0 <= config.noise.p <= 1, key="noise.p", value=config.noise.p, rule="0..1")
    noisy = config.noise.kind is not NoiseKind.none
    _rule(
        noisy or config.noise.p == 0,
        key="noise.p",
        value=config.noise.p,
        rule="0 without a kind of noise",
        way_out="noise=replace_word noise.p=0.2",
    )
    _check_max_tokens(config.dataset.max_tokens, "")
    _rule(
        config.tracker.every > 0,
        key="tracker.every",
        value=config.tracker.every,
        rule="1 or more steps",
    )
    _rule(
        config.runtime.threads >= 0,
        key="runtime.threads",
        value=config.runtime.threads,
        rule="0 (torch's choice) or more",
    )
    _rule(
        config.runtime.checkpoint_seconds > 0,
        key="runtime.checkpoint_seconds",
        value=config.runtime.checkpoint_seconds,
        rule="above 0",
    )
    _check_split(config.dataset.split, "")
    _check_dataset(config.dataset, "")
    _check_teachers(config.teacher, "")
    _check_pretrain(config)
    _check_robustness(config)
    _check_regression(config)


def _check_max_tokens(limit: int, prefix: str) -> None:
    _rule(limit >= 8, key=f"{prefix}dataset.max_tokens", value=limit, rule="8 or more")


def _check_rate(rate: float, key: str) -> None:
    # `nan` fails both comparisons, as it should.
    _rule(0 < rate < 1, key=key, value=rate, rule="above 0 and below 1, such as 2e-5")


def _check_training(training: Training, at: str) -> None:
    _rule(training.epochs > 0, key=f"{at}.epochs", value=training.epochs, rule="1 or more")
    _rule(
        training.batch_size > 0,
        key=f"{at}.batch_size",
        value=training.batch_size,
        rule="1 or more rows",
    )
    _check_rate(training.learning_rate, f"{at}.learning_rate")
    _rule(
        0 <= training.weight_decay < 1,
        key=f"{at}.weight_decay",
        value=training.weight_decay,
        rule="0..1",
    )
    _rule(
        0 <= training.warmup_fraction <= 1,
        key=f"{at}.warmup_fraction",
        value=training.warmup_fraction,
        rule="0..1",
    )
    _rule(
        0 <= training.clip_norm < float("inf"),
        key=f"{at}.clip_norm",
        value=training.clip_norm,
        rule="0 (no clipping) or more",
    )
    steps = training.max_steps
    _rule(steps is None or steps > 0, key=f"{at}.max_steps", value=steps, rule="1 or more, or null")
    _rule(
        0 < training.accumulate <= training.batch_size,
        key=f"{at}.accumulate",
        value=training.accumulate,
        rule="1..batch_size micro-batches",
    )


def _check_pretrain(config: Config) -> None:
    pretrain = config.pretrain
    if pretrain.dataset is not None:
        _check_split(pretrain.dataset.split, "pretrain.")
        _check_dataset(pretrain.dataset, "pretrain.")
        _check_max_tokens(pretrain.dataset.max_tokens, "pretrain.")
    if pretrain.teacher is not None:
        _check_teachers(pretrain.teacher, "pretrain.")


def _check_split(split: Split, prefix: str) -> None:
    for field in ("train", "quiz", "validation", "test"):
        value = getattr(split, field)
        whole = value is None or (0 <= value < float("inf") and (value < 1 or value == int(value)))
        _rule(
            whole,
            key=f"{prefix}dataset.split.{field}",
            value=value,
            rule="a whole number of rows, or a share below 1",
        )


def _check_dataset(dataset: Dataset, prefix: str) -> None:
    metrics, names = dataset.metrics, [metric.value for metric in dataset.metrics]
    _rule(
        0 < len(metrics) == len(set(metrics)),
        key=f"{prefix}dataset.metrics",
        value=names,
        rule="one metric or more, each once; the first is the main one",
    )
    _check_task(dataset, prefix)
    _rule(
        dataset.group is not None or not set(metrics) & set(RANKING),
        key=f"{prefix}dataset.metrics",
        value=names,
        rule="map and mrr rank the rows of a group, and there is none",
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
    """Refuse metrics of the other task, and what scores do not have."""
    regression = dataset.task is Task.regression
    for metric in dataset.metrics:
        good = "pearson,spearman" if regression else "accuracy,macro_f1"
        _rule(
            (metric in OF_SCORES) is regression,
            key=f"{prefix}dataset.metrics",
            value=metric.value,
            rule=f"metrics of {dataset.task.value}",
            way_out=f"{prefix}dataset.metrics=[{good}], or another {prefix}dataset.task",
        )
    _rule(
        not (regression and dataset.label_names),
        key=f"{prefix}dataset.label_names",
        value=dataset.label_names,
        rule=f"null under {prefix}dataset.task=regression: scores have no names",
    )
    _rule(
        not (regression and dataset.generate),
        key=f"{prefix}dataset.task",
        value=dataset.task.value,
        rule="classification: the generated corpus has classes",
        way_out="dataset=stsb, or dataset=files",
    )


def check_classes(dataset: Dataset, classes: int) -> None:
    """Refuse metrics of two classes where there are others.

    Raises:
        Refused: at the first one.
    """
    for metric in dataset.metrics:
        _rule(
            classes == 2 or metric not in _OF_TWO_CLASSES,
            key="dataset.metrics",
            value=metric.value,
            rule=f"a metric of two classes, and there are {classes}",
            way_out="dataset.metrics=[accuracy,macro_f1]",
        )


def _check_teachers(teacher: Teacher, prefix: str) -> None:
    count, own = len(teacher.models), teacher.training
    at = f"{prefix}teacher"
    _rule(own.epochs >= 0, key=f"{at}.training.epochs", value=own.epochs, rule="0 or more")
    _rule(
        own.batch_size > 0, key=f"{at}.training.batch_size", value=own.batch_size, rule="1 or more"
    )
    _check_rate(own.learning_rate, f"{at}.training.learning_rate")
    own_temperatures = teacher.temperatures
    _rule(
        own_temperatures is None
        or (len(own_temperatures) == count and all(0 < t < float("inf") for t in own_temperatures)),
        key=f"{at}.temperatures",
        value=own_temperatures,
        rule=f"one above 0 for each of the {count} teachers",
    )
    _rule(
        teacher.weights is None or teacher.weigh_by is WeighBy.weights,
        key=f"{at}.weights",
        value=teacher.weights,
        rule=f"null where {at}.weigh_by=validation",
    )
    rates = teacher.learning_rates
    _rule(
        rates is None or len(rates) == count,
        key=f"{at}.learning_rates",
        value=rates,
        rule=f"one for each of the {count} teachers",
    )
    for rate in rates or []:
        _check_rate(rate, f"{at}.learning_rates")
    _rule(
        teacher.seeds is None or len(teacher.seeds) == count,
        key=f"{at}.seeds",
        value=teacher.seeds,
        rule=f"one for each of the {count} teachers",
    )
    weights = teacher.weights
    _rule(
        weights is None or len(weights) == count,
        key=f"{at}.weights",
        value=weights,
        rule=f"one for each of the {count} teachers",
    )
    _rule(
        weights is None or (all(w > 0 for w in weights) and sum(weights) < float("inf")),
        key=f"{at}.weights",
        value=weights,
        rule="each above 0; they are scaled to sum 1",
    )


def _check_robustness(config: Config) -> None:
    strengths = config.evaluation.robustness
    _rule(
        strengths is None
        or (
            len(strengths) > 0
            and len(set(strengths)) == len(strengths)
            and all(0 <= p <= 1 for p in strengths)
        ),
        key="evaluation.robustness",
        value=strengths,
        rule="different chances, 0..1, one at least",
        way_out="evaluation.robustness=[0.1,0.3], or null",
    )


def _check_regression(config: Config) -> None:
    """Refuse what only answers in classes have: probabilities, and a share of right ones."""
    for dataset, teacher, prefix in _taught(config):
        if dataset.task is not Task.regression:
            continue
        reason = f"under {prefix}dataset.task=regression"
        _rule(
            teacher.combine is Combine.logit_mean,
            key=f"{prefix}teacher.combine",
            value=teacher.combine.value,
            rule=f"logit_mean {reason}: a score has no probabilities",
            way_out=f"{prefix}teacher.combine=logit_mean",
        )
        _rule(
            teacher.weigh_by is WeighBy.weights,
            key=f"{prefix}teacher.weigh_by",
            value=teacher.weigh_by.value,
            rule=f"weights {reason}: its weights are those of votes for classes",
            way_out=f"{prefix}teacher.weigh_by=weights",
        )
        _rule(
            teacher.temperatures is None,
            key=f"{prefix}teacher.temperatures",
            value=teacher.temperatures,
            rule=f"null {reason}: a score that is divided is another score",
            way_out=f"{prefix}teacher.temperatures=null",
        )
    _rule(
        config.evaluation.robustness is None or config.dataset.task is not Task.regression,
        key="evaluation.robustness",
        value=config.evaluation.robustness,
        rule="null under dataset.task=regression: it is measured in accuracy",
        way_out="evaluation.robustness=null",
    )


def _taught(config: Config) -> list[tuple[Dataset, Teacher, str]]:
    """Each data set with its teachers, and the prefix of their keys."""
    pairs = [(config.dataset, config.teacher, "")]
    if config.pretrain.dataset is not None:
        own = config.pretrain.teacher
        named = own if own is not None and own.models else config.teacher
        pairs.append((config.pretrain.dataset, named, "pretrain."))
    return pairs


def check_test_rows(config: Config, rows: int) -> None:
    """Refuse to measure robustness on no test rows, before anything is trained.

    Raises:
        Refused: there are none.
    """
    _rule(
        config.evaluation.robustness is None or rows > 0,
        key="evaluation.robustness",
        value=config.evaluation.robustness,
        rule="null where the split has no test rows",
        way_out="evaluation.robustness=null, or dataset.split.test=0.1",
    )


def check_algorithm(
    config: Config, name: str, algorithm: Algorithm, entry: StageConfig, teaching: tuple[str, ...]
) -> None:
    """Refuse settings that the stage's algorithm cannot work with.

    Args:
        teaching: the stages that teach in this one.

    Raises:
        Refused: at the first one.
    """
    needs = algorithm.needs
    if (needs.teachers == "none") != (not teaching):
        raise Refused(
            f"The stage {name!r} and its algorithm disagree about teachers.",
            key=f"method.stages.{name}.teachers",
            value=entry.teachers,
            rule="none" if needs.teachers == "none" else "one at least",
        )
    _check_outputs(config, name, algorithm, entry)
    algorithm.check_combination(config.teacher.combine.value)
    if config.training.accumulate > 1 and not algorithm.accumulates:
        raise Refused(
            "Micro-batches would not mean the same as one batch here: each would have a pilot "
            "step, or a mean over tokens, of its own.",
            key="training.accumulate",
            value=config.training.accumulate,
            rule=f"1 for the stage {name!r}",
            way_out="training.accumulate=1, and a smaller training.batch_size if memory is short",
        )
    _check_compiled(config, name, algorithm)
    if needs.pool:
        _check_pool(config, name)
    _check_quiz(config, entry, needed=needs.quiz)
    _check_validation(config)


def _check_outputs(config: Config, name: str, algorithm: Algorithm, entry: StageConfig) -> None:
    """Refuse an algorithm of classes where the stage's rows have scores."""
    own = config.pretrain.dataset if entry.data == PRETRAIN else None
    if (own or config.dataset).task is not Task.regression:
        return
    if algorithm.needs.classes:
        raise Refused(
            f"The stage {name!r} learns from distributions over classes.",
            key=f"{'pretrain.' if own else ''}dataset.task",
            value="regression",
            rule="classification for this method",
            way_out="method=finetune, or method=kd method.soft_loss=mse_logits",
        )
    algorithm.check_regression()


def _check_compiled(config: Config, name: str, algorithm: Algorithm) -> None:
    if config.runtime.compile and algorithm.needs.teachers == "trained":
        raise Refused(
            "A compiled forward draws other dropout masks than the derivative of the pilot step.",
            key="runtime.compile",
            value=True,
            rule=f"false for the stage {name!r}",
            way_out="runtime.compile=false",
        )
    if config.runtime.compile and algorithm.skips_layers():
        raise Refused(
            "A compiled forward has every layer.",
            key="runtime.compile",
            value=True,
            rule=f"false for the stage {name!r}, which skips layers at random",
            way_out="runtime.compile=false, or method.stochastic_depth=0",
        )


def _check_validation(config: Config) -> None:
    """Refuse what rests on validation rows where there are none."""
    if config.dataset.split.validation != 0:
        return
    if config.teacher.weigh_by is WeighBy.validation:
        raise Refused(
            "Teachers cannot be weighed on an empty validation split.",
            key="teacher.weigh_by",
            value="validation",
            rule="needs dataset.split.validation",
            way_out="teacher.weigh_by=weights",
        )
    if config.training.select is Select.best_validation:
        raise Refused(
            "Nothing can be selected on an empty validation split.",
            key="training.select",
            value="best_validation",
            rule="needs dataset.split.validation",
            way_out="training.select=last",
        )


def _check_pool(config: Config, name: str) -> None:
    if config.noise.seen_by is NoiseSeenBy.both and config.noise.p > 0:
        raise Refused(
            "A teacher that labels a pool reads it as it is.",
            key="noise.seen_by",
            value="both",
            rule=f"student, for the stage {name!r}",
            way_out="noise.seen_by=student",
        )


def check_unlabelled(config: Config, name: str, algorithm: Algorithm, *, pretrain: bool) -> None:
    """Refuse a stage on rows without labels where there are none, or where it needs labels.

    Raises:
        Refused: at the first of them.
    """
    dataset = config.pretrain.dataset if pretrain else config.dataset
    assert dataset is not None
    wanted = dataset.unlabelled
    prefix = "pretrain." if pretrain else ""
    if wanted.path is None and wanted.hub is None and wanted.generate == 0:
        raise Refused(
            f"The stage {name!r} learns from texts without labels, and none are named.",
            key=f"{prefix}dataset.unlabelled.path",
            value=None,
            rule="a file with the columns of dataset.text, or a folder with train.*",
            way_out=f"{prefix}dataset.unlabelled.path=pairs.tsv, or a method without that stage",
        )
    if algorithm.reads_labels:
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
