"""Checks the models of every stage before the first one is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from distill_runner.errors import HubUnreachable
from distill_runner.pipeline.model_checks import ModelChecks
from distill_runner.planning.stages import Plan, Stage
from distill_runner.storage.integrity import Say


@dataclass(frozen=True)
class Preflight:
    """What is known about a plan before its first stage is trained.

    Args:
        found: names of the stages whose artifacts are in the store.
        missing: the stages that must be trained, including a baseline that is still undecided.
        unreachable: what a dry run could not check because the hub did not answer.
    """

    found: tuple[str, ...]
    missing: tuple[Stage, ...]
    unreachable: tuple[HubUnreachable, ...] = ()


def preflight(
    plan: Plan,
    *,
    checks: ModelChecks,
    settle: Callable[[Stage], Stage | None],
    is_found: Callable[[Stage], bool],
    say: Say,
    dry_run: bool,
) -> Preflight:
    """Find and check every model of the plan, so that mistakes show before training.

    Args:
        settle: returns a stage as it is trained; None while a baseline is undecided.
        is_found: whether a settled stage's artifact is in the store.
        say: warns of tokenizers that do not know the rows' words.
        dry_run: continue if the hub does not answer.

    Raises:
        Refused: a model cannot serve the plan.
        HubUnreachable: a model cannot be fetched, and this is not a dry run.
    """
    unreachable: dict[str, HubUnreachable] = {}
    for stage in plan.stages:
        try:
            checks.check(stage)
        except HubUnreachable as error:
            if not dry_run:
                raise
            unreachable[stage.name] = error
    # A stage's key includes the keys of the stages it builds on.
    unknown = set(unreachable)
    found, missing = [], []
    for planned in plan.stages:
        if unknown.intersection((planned.name, *planned.needs_stages)):
            unknown.add(planned.name)
            continue
        stage = settle(planned) or planned
        if is_found(stage):
            found.append(stage.name)
        else:
            missing.append(stage)
    for stage in missing:
        checks.check_words(stage, say=say)
    return Preflight(tuple(found), tuple(missing), tuple(unreachable.values()))
