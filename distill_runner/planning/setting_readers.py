"""What reads a setting that not every run reads, as one table."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from dataclasses import dataclass

from distill_runner.command_line.overrides import Key
from distill_runner.config.schema import Config, Dataset, NoiseKind
from distill_runner.planning.stages import PRETRAIN, TASK, Plan, Stage
from distill_runner.tracking.trackers import tracker_class

OTHERWISE = "a setting that changes a stage of this run"


@dataclass(frozen=True)
class Run:
    """A configuration and what it leads to."""

    config: Config
    plan: Plan

    def stages(self, data: str) -> list[Stage]:
        """The stages that train on the data set."""
        return [stage for stage in self.plan.stages if stage.data == data]

    def teachers(self, data: str) -> list[Stage]:
        """The stages of the data set's teachers."""
        names = self.plan.pretrain_teachers if data == PRETRAIN else self.plan.teachers
        return [self.plan.stage(name) for name in names]

    def joined(self, data: str) -> bool:
        """Whether several teachers answer as one."""
        several = any(len(stage.teachers) > 1 for stage in self.stages(data))
        return several or len(self.teachers(data)) > 1


@dataclass(frozen=True)
class _Rule:
    """Keys, and when nothing reads them.

    Args:
        keys: a pattern, `*` for any.
        unread: says so of a run.
        rule: what the keys are for.
        way_out: what to type instead; None: the same without the key.
    """

    keys: str
    unread: Callable[[Run], bool]
    rule: str
    way_out: str | None = None


def _no_fine_tuning(data: str) -> Callable[[Run], bool]:
    return lambda run: all(stage.already_finetuned for stage in run.teachers(data))


def _none_taken(data: str) -> Callable[[Run], bool]:
    return lambda run: not any(stage.already_finetuned for stage in run.teachers(data))


def _teacher_rules(prefix: str, data: str) -> list[_Rule]:
    at = f"{prefix}teacher"
    as_they_are = f"teachers that are fine-tuned: {at}.finetune=always"
    return [
        _Rule(f"{at}.*", lambda run: not run.teachers(data), "a method that has these teachers"),
        _Rule(f"{at}.training.*", _no_fine_tuning(data), as_they_are),
        _Rule(f"{at}.learning_rates", _no_fine_tuning(data), as_they_are),
        _Rule(f"{at}.seeds", _no_fine_tuning(data), as_they_are),
        _Rule(f"{at}.labels", _none_taken(data), "a teacher that is taken as it is"),
        _Rule(f"{at}.combine", lambda run: not run.joined(data), "two teachers or more"),
        _Rule(f"{at}.weigh_by", lambda run: not run.joined(data), "two teachers or more"),
        _Rule(f"{at}.weights", lambda run: not run.joined(data), "two teachers or more"),
    ]


def _dataset_rules(prefix: str, data: str) -> list[_Rule]:
    def of(run: Run) -> Dataset:
        found = run.config.pretrain.dataset if data == PRETRAIN else run.config.dataset
        assert found is not None
        return found

    def generated(run: Run) -> bool:
        return of(run).generate > 0

    def no_texts_by(run: Run, key: str) -> bool:
        # Texts without labels in files go by the same settings, if they have none of their own.
        wanted = of(run).unlabelled
        in_files = wanted.path is not None or wanted.hub is not None
        read = run.plan.reads_unlabelled(data) and in_files and getattr(wanted, key) is None
        return generated(run) and not read

    at = f"{prefix}dataset"
    files = "files; this corpus is generated, its columns and classes are given"
    own = f"dataset=files dataset.path=FILE, in place of {at}.generate"
    return [
        *(
            _Rule(f"{at}.{key}", generated, files, own)
            for key in ("path", "hub", "subset", "label", "label_names", "no_label")
        ),
        _Rule(f"{at}.text", lambda run: no_texts_by(run, "text"), files, own),
        _Rule(f"{at}.missing", lambda run: no_texts_by(run, "missing"), files, own),
        _Rule(
            f"{at}.hub",
            lambda run: of(run).path is not None,
            f"data of the hub, where {at}.path=null",
        ),
        _Rule(
            f"{at}.subset",
            lambda run: of(run).path is not None or of(run).hub is None,
            f"data of the hub: {at}.hub, and {at}.path=null",
        ),
        *_unlabelled_rules(f"{at}.unlabelled", data, lambda run: of(run)),
    ]


def _unlabelled_rules(at: str, data: str, of: Callable[[Run], Dataset]) -> list[_Rule]:
    def path(run: Run) -> bool:
        return of(run).unlabelled.path is not None

    def hub(run: Run) -> bool:
        return of(run).unlabelled.hub is not None

    def elsewhere(run: Run) -> bool:
        return data == TASK and run.plan.reads_unlabelled(PRETRAIN)

    return [
        _Rule(
            f"{at}.*",
            elsewhere,
            "a stage that reads the task's texts without labels; this method's are those of "
            "pretrain.dataset",
            "pretrain.dataset.unlabelled.path=FILE, or pretrain.dataset=null",
        ),
        _Rule(
            f"{at}.*",
            lambda run: not run.plan.reads_unlabelled(data),
            "a method that reads these texts without labels: distilbert or tmkd",
        ),
        _Rule(f"{at}.hub", path, f"texts of the hub, where {at}.path=null"),
        _Rule(
            f"{at}.subset",
            lambda run: path(run) or not hub(run),
            f"texts of the hub: {at}.hub, and {at}.path=null",
        ),
        _Rule(
            f"{at}.generate",
            lambda run: path(run) or hub(run),
            f"generated texts, where {at}.path=null and {at}.hub=null",
        ),
        *(
            _Rule(f"{at}.{key}", lambda run: not path(run) and not hub(run), "texts in files")
            for key in ("text", "rows", "missing")
        ),
    ]


def _no_word(run: Run) -> bool:
    return run.config.noise.kind is not NoiseKind.replace_word and not (
        run.config.evaluation.robustness
    )


_RULES = [
    _Rule("noise.word", _no_word, "noise=replace_word, or evaluation.robustness"),
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


def reason(run: Run, key: Key) -> tuple[str, str | None]:
    """Why the run does not read the key, and what to type instead."""
    name = ".".join(key)
    for one in _RULES:
        if fnmatch.fnmatchcase(name, one.keys) and one.unread(run):
            return one.rule, one.way_out
    return OTHERWISE, None
