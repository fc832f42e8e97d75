"""Settings that somebody typed and that nothing in the run would read: refused, not dropped."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from distill_runner.config import typed
from distill_runner.errors import Refused
from distill_runner.overrides import Key
from distill_runner.plan import PRETRAIN, TASK, Plan, Stage
from distill_runner.schema import Config, Dataset, NearChance, NoiseKind, TrackerKind

# What is read through the plan: another value of it is another plan.
_THROUGH_PLAN = ("method", "teacher", "student", "noise", "training", "seed", "models")
# Of these keys, what is read elsewhere too.
_ELSEWHERE = ("noise.word", "teacher.near_chance", "pretrain.teacher.near_chance")
# What is done where there is nothing to leave out, and nothing to allow.
_HONOURED: dict[Key, object] = {
    ("method", "baseline"): "never",
    ("teacher", "near_chance"): NearChance.allow,
    ("pretrain", "teacher", "near_chance"): NearChance.allow,
}

MakePlan = Callable[[DictConfig, Config], Plan]


@dataclass(frozen=True)
class _Run:
    """A configuration and what it leads to."""

    config: Config
    plan: Plan

    def stages(self, data: str) -> list[Stage]:
        return [stage for stage in self.plan.stages if stage.data == data]

    def teachers(self, data: str) -> list[Stage]:
        names = self.plan.pretrain_teachers if data == PRETRAIN else self.plan.teachers
        return [self.plan.stage(name) for name in names]

    def joined(self, data: str) -> bool:
        """Whether several teachers answer as one."""
        several = any(len(stage.teachers) > 1 for stage in self.stages(data))
        return several or len(self.teachers(data)) > 1


def check_all_read(
    config: DictConfig,
    settings: Config,
    untyped: DictConfig,
    keys: Sequence[Key],
    *,
    plan: Plan,
    make_plan: MakePlan,
    shared: Collection[str],
) -> list[str]:
    """Refuse a typed value that is not the default and that nothing reads.

    Args:
        config: as composed.
        settings: the same, typed.
        untyped: as composed of the typed groups alone.
        keys: what was typed.
        plan: of `config`.
        make_plan: of a configuration and the same typed; it asks no hub.
        shared: keys that hold for all the jobs of a sweep; another job may read them.

    Returns:
        The keys of `shared` that this job does not read, as lines to be said.

    Raises:
        Refused: at the first of the others.
    """
    run, said = _Run(settings, plan), []
    defaults = OmegaConf.to_container(untyped, resolve=False)
    for key in keys:
        try:
            _check(config, _at(defaults, key), key, run, make_plan)
        except Refused as refusal:
            if ".".join(key) not in shared:
                raise
            said.append(f"not read by this job: {refusal.key} ({_reason(run, key)[0]})")
        except KeyError:
            continue  # no default: whoever asks for it reads it
    return said


def unused_choices(
    config: Config, plan: Plan, choices: Mapping[str, str], typed_groups: Collection[str]
) -> str:
    """The typed choices that a method makes no use of, as a line; empty if there are none."""
    noisy = config.noise.kind is not NoiseKind.none and config.noise.p > 0
    idle = {
        "teacher": not plan.teachers,
        "teacher@pretrain.teacher": not plan.pretrain_teachers,
        "dataset@pretrain.dataset": PRETRAIN not in plan.data,
        "noise": noisy and not any(one.noise for one in plan.stages),
    }
    found = [f"{name}={choices.get(name)}" for name in typed_groups if idle.get(name)]
    return f"not used by method={plan.method}: {', '.join(found)}" if found else ""


def _check(config: DictConfig, default: Any, key: Key, run: _Run, make_plan: MakePlan) -> None:
    try:
        without = _with(config, key, default)
        before = typed(without)
        value = _at(OmegaConf.to_container(config, resolve=True), key)
        if before == run.config or _HONOURED.get(key) == value:
            return
        rule, way_out = _reason(run, key)
        if rule != _OTHERWISE and _is_off(value, key):
            return
        if rule == _OTHERWISE and (
            not _through_plan(key)
            or _leads_elsewhere(without, before, run.plan, make_plan)
            or any(_changes(config, key, other, run.plan, make_plan) for other in _others(value))
        ):
            return
    except OmegaConfBaseException:
        return  # without it there is no configuration
    name = ".".join(key)
    raise Refused(
        f"Nothing in this run reads {name}.",
        key=name,
        value=value.name if isinstance(value, Enum) else value,
        rule=rule if rule == _OTHERWISE else f"read only by {rule}",
        way_out=way_out or f"the same without {name}",
    )


def _is_off(value: Any, key: Key) -> bool:
    """Whether the value asks for nothing, so that nothing of it can be dropped."""
    return value is None or (not _through_plan(key) and value in (0, "", []))


def _through_plan(key: Key) -> bool:
    """Whether nothing but the plan reads the key."""
    known = key[0] in _THROUGH_PLAN or key[:2] == ("pretrain", "teacher")
    return known and ".".join(key) not in _ELSEWHERE


def _leads_elsewhere(config: DictConfig, settings: Config, plan: Plan, make_plan: MakePlan) -> bool:
    """Whether a configuration leads to another plan, or to none."""
    try:
        return _read_of(make_plan(config, settings)) != _read_of(plan)
    except Refused:
        return True


def _changes(config: DictConfig, key: Key, value: Any, plan: Plan, make_plan: MakePlan) -> bool:
    """Whether the key with a made-up value, which may be out of range, leads to another plan."""
    try:
        other = _with(config, key, value)
        return _read_of(make_plan(other, typed(other))) != _read_of(plan)
    except (Refused, OmegaConfBaseException):
        return False


def _read_of(plan: Plan) -> list[dict[str, Any]]:
    """The plan's stages, each without the settings that its algorithm leaves aside."""
    found = []
    for stage in plan.stages:
        algorithm = stage.algorithm
        read = {k: v for k, v in vars(algorithm).items() if k not in algorithm.left_aside()}
        found.append({**vars(stage), "algorithm": (type(algorithm), read)})
    return [*found, vars(replace(plan, stages=()))]


def _others(value: Any) -> list[Any]:
    """Other values of the same kind."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, Enum):
        return [one for one in type(value) if one is not value]
    if isinstance(value, int | float):
        return [value + 1, value / 2 if isinstance(value, float) else value * 2]
    if isinstance(value, str):
        return [f"{value}-"]
    if isinstance(value, list) and value:
        first = [[other, *value[1:]] for other in _others(value[0])]
        return [*first, value[:-1], [*value, value[-1]]]
    return []


def _with(config: DictConfig, key: Key, value: Any) -> DictConfig:
    other = config.copy()
    node: Any = other
    for part in key[:-1]:
        node = node[part]
    node[key[-1]] = value
    return other


def _at(container: Any, key: Key) -> Any:
    for part in key:
        if not isinstance(container, Mapping):
            raise KeyError(part)
        container = container[part]
    return container


# --- what reads what -------------------------------------------------------------------------


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
    unread: Callable[[_Run], bool]
    rule: str
    way_out: str | None = None


_OTHERWISE = "a setting that changes a stage of this run"


def _reason(run: _Run, key: Key) -> tuple[str, str | None]:
    name = ".".join(key)
    for one in _RULES:
        if fnmatch.fnmatchcase(name, one.keys) and one.unread(run):
            return one.rule, one.way_out
    return _OTHERWISE, None


def _no_fine_tuning(data: str) -> Callable[[_Run], bool]:
    return lambda run: all(stage.learner.taken for stage in run.teachers(data))


def _none_taken(data: str) -> Callable[[_Run], bool]:
    return lambda run: not any(stage.learner.taken for stage in run.teachers(data))


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
    def of(run: _Run) -> Dataset:
        found = run.config.pretrain.dataset if data == PRETRAIN else run.config.dataset
        assert found is not None
        return found

    def generated(run: _Run) -> bool:
        return of(run).generate > 0

    def no_labelled_texts(run: _Run) -> bool:
        # Texts without labels in files go by the same columns, if they name none of their own.
        wanted = of(run).unlabelled
        in_files = wanted.path is not None or wanted.hub is not None
        read = run.plan.reads_unlabelled(data) and in_files and wanted.text is None
        return generated(run) and not read

    at = f"{prefix}dataset"
    files = "files; this corpus is generated, its columns and classes are given"
    own = f"dataset=files dataset.path=FILE, in place of {at}.generate"
    return [
        *(
            _Rule(f"{at}.{key}", generated, files, own)
            for key in ("path", "hub", "subset", "label", "label_names", "no_label")
        ),
        _Rule(f"{at}.text", no_labelled_texts, files, own),
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


def _unlabelled_rules(at: str, data: str, of: Callable[[_Run], Dataset]) -> list[_Rule]:
    def path(run: _Run) -> bool:
        return of(run).unlabelled.path is not None

    def hub(run: _Run) -> bool:
        return of(run).unlabelled.hub is not None

    def elsewhere(run: _Run) -> bool:
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
            for key in ("text", "rows")
        ),
    ]


def _no_word(run: _Run) -> bool:
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
            lambda run: run.config.tracker.kind is TrackerKind.none,
            "a tracker: tracker=wandb or tracker=jsonl",
        )
        for key in ("group", "tags")
    ),
    _Rule(
        "tracker.project",
        lambda run: run.config.tracker.kind is not TrackerKind.wandb,
        "Weights & Biases: tracker=wandb",
    ),
]
