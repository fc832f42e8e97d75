"""Settings that somebody typed and that nothing in the run would read: refused, not dropped."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from distill_runner.command_line.overrides import Key
from distill_runner.config.compose import typed
from distill_runner.config.schema import Config, NearChance, NoiseKind
from distill_runner.errors import Refused
from distill_runner.planning.setting_readers import OTHERWISE, Run, reason
from distill_runner.planning.stages import PRETRAIN, Plan

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
    """Refuse a typed value that is not the default and that nothing reads.

    A key without a default is left alone: whoever asks for it reads it.

    Args:
        config: as composed.
        settings: the same, typed.
        untyped: composes the typed groups alone; that takes a while.
        keys: what was typed.
        plan: of `config`.
        make_plan: of a configuration and the same typed; it asks no hub.
        shared: keys that hold for all the jobs of a sweep; another job may read them.

    Returns:
        The keys of `shared` that this job does not read, as lines to be said.

    Raises:
        Refused: at the first of the others.
    """
    run, said, defaults = Run(settings, plan), [], None
    for key in keys:
        if not _through_plan(key) and reason(run, key)[0] == OTHERWISE:
            continue  # read, and known to be without a second look
        try:
            defaults = defaults or OmegaConf.to_container(untyped(), resolve=False)
            default = _at(defaults, key)
            if default != MISSING:
                _check(config, default, key, run, make_plan)
        except Refused as refusal:
            if ".".join(key) not in shared:
                raise
            said.append(f"not read by this job: {refusal.key} ({reason(run, key)[0]})")
        except KeyError:
            continue  # in a mapping that the typed groups leave empty
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


def _check(config: DictConfig, default: Any, key: Key, run: Run, make_plan: MakePlan) -> None:
    try:
        without = _with(config, key, default)
        before = typed(without)
        value = _at(OmegaConf.to_container(config, resolve=True), key)
        if before == run.config or _HONOURED.get(key) == value:
            return
        rule, way_out = reason(run, key)
        if rule != OTHERWISE and _is_off(value, key):
            return
        if rule == OTHERWISE and (
            _leads_elsewhere(without, before, run.plan, make_plan)
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
        rule=rule if rule == OTHERWISE else f"read only by {rule}",
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
        read = {k: v for k, v in vars(algorithm).items() if k not in algorithm.unread_settings()}
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
