"""Refuses typed settings that nothing in the run reads, so that none is silently dropped."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from distill_runner.command_line.overrides import Key
from distill_runner.config.compose import to_dataclasses
from distill_runner.config.schema import Config, NearChance, NoiseKind
from distill_runner.errors import Refused
from distill_runner.planning.setting_readers import ANY_STAGE, PlannedRun, what_reads
from distill_runner.planning.stages import PRETRAIN, Plan

# The keys that are read through the plan: changing one changes the plan.
_THROUGH_PLAN = ("method", "teacher", "student", "noise", "training", "seed", "models")
# The exceptions, which are also read elsewhere.
_ELSEWHERE = ("noise.word", "teacher.near_chance", "pretrain.teacher.near_chance")
# A run ignores these even where they switch something off that is on by default.
_OF_OTHER_COMMANDS = ("budget", "frontier")
# Values that are satisfied anyway if there is nothing to leave out or to allow.
_HONOURED: dict[Key, object] = {
    ("method", "baseline"): "never",
    ("teacher", "near_chance"): NearChance.allow,
    ("pretrain", "teacher", "near_chance"): NearChance.allow,
}

MakePlan = Callable[[DictConfig, Config], Plan]


def check_all_read(
    config: DictConfig,
    settings: Config,
    untyped: Callable[[], DictConfig],
    keys: Sequence[Key],
    *,
    plan: Plan,
    make_plan: MakePlan,
    shared: Collection[str],
) -> list[str]:
    """Refuse a typed value that differs from the default and is not read by anything.

    A key without a default passes: it exists because something reads it.

    Args:
        config: the composed configuration.
        settings: the same as dataclasses.
        untyped: composes the chosen groups without the typed values; expensive.
        keys: the typed keys.
        plan: made from `config`.
        make_plan: plans a configuration, given composed and as dataclasses, without asking the
            hub.
        shared: keys with one value for all jobs of a sweep; another job may read them.

    Returns:
        A line to print for each key of `shared` that this job does not read.

    Raises:
        Refused: nothing reads a key that is not in `shared`.
    """
    run, lines, defaults = PlannedRun(settings, plan), [], None
    for key in keys:
        if not _through_plan(key) and what_reads(run, key)[0] == ANY_STAGE:
            continue  # every run reads this key
        try:
            defaults = defaults or OmegaConf.to_container(untyped(), resolve=False)
            default = _at(defaults, key)
            if default != MISSING:
                _check(config, default, key, run, make_plan)
        except Refused as refusal:
            if ".".join(key) not in shared:
                raise
            lines.append(f"not read by this job: {refusal.key} ({what_reads(run, key)[0]})")
        except KeyError:
            continue  # a key of a mapping that the groups leave empty
    return lines


def unused_choices(
    config: Config, plan: Plan, choices: Mapping[str, str], typed_groups: Collection[str]
) -> str:
    """Return a line with the typed groups that the method does not use; empty if there are none."""
    noisy = config.noise.kind is not NoiseKind.none and config.noise.p > 0
    idle = {
        "teacher": not plan.teachers,
        "teacher@pretrain.teacher": not plan.pretrain_teachers,
        "dataset@pretrain.dataset": PRETRAIN not in plan.data,
        "noise": noisy and not any(stage.noise for stage in plan.stages),
    }
    unused = [f"{name}={choices.get(name)}" for name in typed_groups if idle.get(name)]
    return f"not used by method={plan.method}: {', '.join(unused)}" if unused else ""


def _check(
    config: DictConfig, default: Any, key: Key, run: PlannedRun, make_plan: MakePlan
) -> None:
    try:
        without = _replaced(config, key, default)
        before = to_dataclasses(without)
        value = _at(OmegaConf.to_container(config, resolve=True), key)
        if before == run.config or _HONOURED.get(key) == value:
            return
        rule, way_out = what_reads(run, key)
        if rule != ANY_STAGE and _is_off(value, key):
            return
        others = _other_values(value) if rule == ANY_STAGE else []
        if rule == ANY_STAGE and _leads_elsewhere(without, before, run.plan, make_plan):
            return
        if any(_changes(config, key, other, run.plan, make_plan) for other in others):
            return
    except OmegaConfBaseException:
        return  # the configuration is not valid without it
    name = ".".join(key)
    raise Refused(
        f"Nothing in this run reads {name}.",
        key=name,
        value=value.name if isinstance(value, Enum) else value,
        rule=rule if rule == ANY_STAGE else f"read only by {rule}",
        way_out=way_out or f"the same without {name}",
    )


def _is_off(value: Any, key: Key) -> bool:
    """Return whether the value switches something off, so that ignoring it loses nothing."""
    if key[0] in _OF_OTHER_COMMANDS:
        return False
    return value is None or (not _through_plan(key) and value in (0, "", []))


def _through_plan(key: Key) -> bool:
    """Return whether only the plan reads the key."""
    known = key[0] in _THROUGH_PLAN or key[:2] == ("pretrain", "teacher")
    return known and ".".join(key) not in _ELSEWHERE


def _leads_elsewhere(config: DictConfig, settings: Config, plan: Plan, make_plan: MakePlan) -> bool:
    """Return whether a configuration leads to another plan, or is refused."""
    try:
        return _settings_read(make_plan(config, settings)) != _settings_read(plan)
    except Refused:
        return True


def _changes(config: DictConfig, key: Key, value: Any, plan: Plan, make_plan: MakePlan) -> bool:
    """Return whether another value of the key leads to another plan; False if it is refused."""
    try:
        other = _replaced(config, key, value)
        return _settings_read(make_plan(other, to_dataclasses(other))) != _settings_read(plan)
    except (Refused, OmegaConfBaseException):
        return False


def _settings_read(plan: Plan) -> list[dict[str, Any]]:
    """Return the plan as mappings, without the settings that a stage's algorithm does not read.

    A stage that is not trained reads no setting of its training.
    """
    stages = []
    for stage in plan.stages:
        algorithm = stage.algorithm
        read = {k: v for k, v in vars(algorithm).items() if k not in stage.unread_settings()}
        training = stage.training if stage.training.epochs else None
        stages.append({**vars(stage), "algorithm": (type(algorithm), read), "training": training})
    return [*stages, vars(replace(plan, stages=()))]


def _other_values(value: Any) -> list[Any]:
    """Return some other values of the same type."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, Enum):
        return [other for other in type(value) if other is not value]
    if isinstance(value, int | float):
        return [value + 1, value / 2 if isinstance(value, float) else value * 2]
    if isinstance(value, str):
        return [f"{value}-"]
    if isinstance(value, list) and value:
        first = [[other, *value[1:]] for other in _other_values(value[0])]
        return [*first, value[:-1], [*value, value[-1]]]
    return []


def _replaced(config: DictConfig, key: Key, value: Any) -> DictConfig:
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
