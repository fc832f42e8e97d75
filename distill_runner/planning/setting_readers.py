"""Declares the settings that only some runs read, and what reads each of them."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from dataclasses import dataclass

from distill_runner.command_line.overrides import Key
from distill_runner.config.schema import Config, Dataset, NoiseKind
from distill_runner.planning.stages import PRETRAIN, TASK, Plan, Stage
from distill_runner.tracking.trackers import tracker_class

ANY_STAGE = "a setting that changes a stage of this run"


@dataclass(frozen=True)
class PlannedRun:
    """A configuration and its plan."""

    config: Config
    plan: Plan

    def stages(self, data: str) -> list[Stage]:
        """Return the stages that train on the data set."""
        return [stage for stage in self.plan.stages if stage.data == data]

    def teachers(self, data: str) -> list[Stage]:
        """Return the stages of the data set's teachers."""
        names = self.plan.pretrain_teachers if data == PRETRAIN else self.plan.teachers
        return [self.plan.stage(name) for name in names]

    def combines_teachers(self, data: str) -> bool:
        """Return whether the outputs of several teachers are combined."""
        several = any(len(stage.teachers) > 1 for stage in self.stages(data))
        return several or len(self.teachers(data)) > 1


@dataclass(frozen=True)
class _Rule:
    """A group of keys, and the runs in which nothing reads them.

    Args:
        keys: a pattern; `*` stands for anything.
        unread: whether a run leaves them unread.
        rule: what reads them in other runs, as the message words it.
        way_out: what to type instead; None: the same command without the key.
    """

    keys: str
    unread: Callable[[PlannedRun], bool]
    rule: str
    way_out: str | None = None


def _none_fine_tuned(data: str) -> Callable[[PlannedRun], bool]:
    return lambda run: all(stage.is_given for stage in run.teachers(data))


def _from_files(data: str) -> Callable[[PlannedRun], bool]:
    return lambda run: any(stage.answers is not None for stage in run.teachers(data))


def _from_models(data: str) -> Callable[[PlannedRun], bool]:
    return lambda run: not _from_files(data)(run)


def _all_fine_tuned(data: str) -> Callable[[PlannedRun], bool]:
    return lambda run: not any(stage.already_finetuned for stage in run.teachers(data))


def _combines_none(data: str) -> Callable[[PlannedRun], bool]:
    return lambda run: not run.combines_teachers(data)


def _teacher_rules(prefix: str, data: str) -> list[_Rule]:
    at = f"{prefix}teacher"
    fine_tuned = f"teachers that are fine-tuned: {at}.finetune=always"
    return [
        _Rule(f"{at}.*", lambda run: not run.teachers(data), "a method that has these teachers"),
        *(
            _Rule(f"{at}.{key}", _from_files(data), "teachers that are models", f"{at}=bert")
            for key in ("training.*", "learning_rates", "seeds", "labels", "finetune", "models")
        ),
        _Rule(f"{at}.missing", _from_models(data), f"a file of answers: {at}=file"),
        _Rule(f"{at}.training.*", _none_fine_tuned(data), fine_tuned),
        _Rule(f"{at}.learning_rates", _none_fine_tuned(data), fine_tuned),
        _Rule(f"{at}.seeds", _none_fine_tuned(data), fine_tuned),
        _Rule(f"{at}.labels", _all_fine_tuned(data), "a classifier that teaches as it is"),
        *(
            _Rule(f"{at}.{key}", _combines_none(data), "two teachers or more")
            for key in ("combine", "weigh_by", "weights")
        ),
    ]


def _dataset_rules(prefix: str, data: str) -> list[_Rule]:
    def settings(run: PlannedRun) -> Dataset:
        dataset = run.config.pretrain.dataset if data == PRETRAIN else run.config.dataset
        assert dataset is not None
        return dataset

    def generated(run: PlannedRun) -> bool:
        return settings(run).generate > 0

    def unread_for_texts(run: PlannedRun, key: str) -> bool:
        # Files of texts without labels inherit this setting unless they set it themselves.
        unlabelled = settings(run).unlabelled
        inherited = getattr(unlabelled, key) is None
        read = run.plan.reads_unlabelled(data) and unlabelled.in_files and inherited
        return generated(run) and not read

    at = f"{prefix}dataset"
    files = "data files; a generated corpus has its own columns and classes"
    from_files = f"dataset=files dataset.path=FILE, in place of {at}.generate"
    return [
        *(
            _Rule(f"{at}.{key}", generated, files, from_files)
            for key in ("path", "hub", "subset", "label", "label_names", "no_label")
        ),
        _Rule(f"{at}.text", lambda run: unread_for_texts(run, "text"), files, from_files),
        _Rule(f"{at}.missing", lambda run: unread_for_texts(run, "missing"), files, from_files),
        _Rule(
            f"{at}.hub",
            lambda run: settings(run).path is not None,
            f"data from the hub, where {at}.path=null",
        ),
        _Rule(
            f"{at}.subset",
            lambda run: settings(run).path is not None or settings(run).hub is None,
            f"data from the hub: {at}.hub, and {at}.path=null",
        ),
        *_unlabelled_rules(f"{at}.unlabelled", data, settings),
    ]


def _unlabelled_rules(at: str, data: str, settings: Callable[[PlannedRun], Dataset]) -> list[_Rule]:
    def has_path(run: PlannedRun) -> bool:
        return settings(run).unlabelled.path is not None

    def has_hub(run: PlannedRun) -> bool:
        return settings(run).unlabelled.hub is not None

    def has_no_files(run: PlannedRun) -> bool:
        return not settings(run).unlabelled.in_files

    def reads_others(run: PlannedRun) -> bool:
        plan = run.plan
        others = not plan.reads_unlabelled(TASK) and plan.reads_unlabelled(PRETRAIN)
        return data == TASK and others

    return [
        _Rule(
            f"{at}.*",
            reads_others,
            "a stage that reads the task's texts without labels; this method reads those of "
            "pretrain.dataset",
            "pretrain.dataset.unlabelled.path=FILE, or pretrain.dataset=null",
        ),
        _Rule(
            f"{at}.*",
            lambda run: not run.plan.reads_unlabelled(data),
            "a method with frozen teachers, such as kd, or with a first stage on such texts: "
            "distilbert, tmkd",
        ),
        _Rule(f"{at}.hub", has_path, f"texts from the hub, where {at}.path=null"),
        _Rule(
            f"{at}.subset",
            lambda run: has_path(run) or not has_hub(run),
            f"texts from the hub: {at}.hub, and {at}.path=null",
        ),
        _Rule(
            f"{at}.generate",
            lambda run: (
                settings(run).unlabelled.in_files
                or run.plan.reads_rest(data, settings(run).unlabelled)
            ),
            f"generated texts, where {at}.path=null, {at}.hub=null and {at}.rest=false",
        ),
        *(
            _Rule(f"{at}.{key}", has_no_files, "texts in files")
            for key in ("text", "rows", "missing")
        ),
    ]


def _replaces_no_word(run: PlannedRun) -> bool:
    return run.config.noise.kind is not NoiseKind.replace_word and not (
        run.config.evaluation.robustness
    )


_FRONTIER = "`distill frontier`, a command of its own"

_RULES = [
    *(
        _Rule(keys, lambda run: True, _FRONTIER, "distill frontier, with the same settings")  # noqa: ARG005
        for keys in ("budget.*", "frontier.*")
    ),
    _Rule("noise.word", _replaces_no_word, "noise=replace_word, or evaluation.robustness"),
    _Rule(
        "noise.seen_by",
        lambda run: not any(stage.noise and stage.teachers for stage in run.plan.stages),
        "a stage with teachers and noise",
    ),
    *_teacher_rules("", TASK),
    *_teacher_rules("pretrain.", PRETRAIN),
    _Rule(
        "pretrain.dataset.*",
        lambda run: PRETRAIN not in run.plan.data,
        "a method with a first stage on other data: tmkd, tkd or tkd_avg",
    ),
    *_dataset_rules("", TASK),
    *_dataset_rules("pretrain.", PRETRAIN),
    *(
        _Rule(
            f"tracker.{key}",
            lambda run: not tracker_class(run.config.tracker).keeps_curves,
            "a tracker: tracker=wandb or tracker=jsonl",
        )
        for key in ("project", "group", "tags")
    ),
]


# The settings that a list of values replaces on every stage that is tuned.
_TUNED = {"training.learning_rate": "learning_rates", "training.epochs": "epochs"}


def what_reads(run: PlannedRun, key: Key) -> tuple[str, str | None]:
    """Return what reads the key in other runs, and what to type instead in this one.

    Returns:
        `ANY_STAGE` if no rule says that this run leaves the key unread.
    """
    name = ".".join(key)
    for rule in _RULES:
        if fnmatch.fnmatchcase(name, rule.keys) and rule.unread(run):
            return rule.rule, rule.way_out
    values = _TUNED.get(name)
    if values and getattr(run.config.tune, values):
        return ANY_STAGE, f"the same without {name}, which tune.{values} replaces"
    return ANY_STAGE, None
