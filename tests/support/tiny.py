"""The real configuration, composed and shrunk until a run takes a second or two."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from distill_runner import cli
from distill_runner.command_line.overrides import groups_among
from distill_runner.config.compose import (
    config_path,
    option_names,
    raw_method,
    register_schema,
    to_dataclasses,
)
from distill_runner.config.schema import Config
from distill_runner.console.screen import Screen
from distill_runner.data.inputs import read_data
from distill_runner.jobs.job import Command, run_job
from distill_runner.jobs.sweep import SweepTable
from distill_runner.methods.construct import make_algorithm
from distill_runner.pipeline.runner import Runner
from distill_runner.planning.planner import make_plan
from distill_runner.planning.stages import Plan
from distill_runner.runtime.machine import resolve_machine
from distill_runner.tracking.trackers import NoTracker

METHODS, STUDENTS, _TEACHERS = (option_names(group) for group in ("method", "student", "teacher"))
TEACHERS = [name for name in _TEACHERS if name != "file"]  # which needs a file of answers

MODEL = (
    "{{family: {family}, layers: 1, width: {width}, heads: 2, feedforward: 16, "
    "dropout: 0.1, vocabulary: 200}}"
)
SHRUNK = (f"hydra.searchpath=['file://{Path(__file__).parents[1]}/conf']", "profile=shrunk")


# A teacher of one epoch is sure of nothing, and answers with one class.
UNSURE = {"method=noisy_student": ("method.min_confidence=0.5", "method.balance=false")}
# One that is sure of rows of either class.
SURE = (
    *("teacher.training.epochs=20", "teacher.training.learning_rate=5e-3"),
    *("method.balance=true", "method.min_confidence=0.6"),
)


def composed(*overrides: str) -> DictConfig:
    """What `distill-run OVERRIDES` would compose."""
    register_schema()
    with initialize_config_dir(config_path(), version_base="1.3"):
        config: DictConfig = compose("config", overrides=["output_dir=unused", *overrides])
        return config


def shrunk(store: Path, *overrides: str) -> DictConfig:
    unsure = [item for asked in overrides for item in UNSURE.get(asked, ())]
    return composed(*SHRUNK, f"store.dir={store}", *unsure, *overrides)


def planned(config: DictConfig, method: str = "kd") -> tuple[Config, Plan]:
    settings = to_dataclasses(config)
    plan = make_plan(
        settings,
        method=method,
        raw_method=raw_method(config),
        make_algorithm=make_algorithm,
        is_classifier=lambda *_: False,
    )
    return settings, plan


def run(
    folder: Path, store: Path, method: str, *overrides: str, settings: Sequence[str] = ()
) -> None:
    """One job, as the command would run it; `settings` as a profile would have them."""
    folder.mkdir(parents=True, exist_ok=True)
    asked = [f"method={method}", *overrides]
    asked_for = Command(
        shrunk(store, *settings, *asked),
        untyped=lambda: shrunk(store, *settings, *groups_among(asked)),
        choices={"method": method},
        overrides=asked,
        folder=folder,
    )
    run_job(asked_for)


def command(
    monkeypatch: pytest.MonkeyPatch, *arguments: str, small: Sequence[str] | None = None
) -> int:
    """The exit status of `distill-run ARGUMENTS`, shrunk by `SHRUNK` or by the words `small`."""
    words = [*(SHRUNK if small is None else small), *arguments]
    monkeypatch.setattr(sys, "argv", ["distill-run", *words])
    monkeypatch.setattr(SweepTable, "verdict", None)
    GlobalHydra.instance().clear()
    try:
        cli.main()
    except SystemExit as stopped:
        return int(stopped.code or 0)
    return 0


@dataclass
class Bench:
    """A runner before its first stage, for tests that look inside."""

    config: Config
    plan: Plan
    runner: Any
    opened: ExitStack = field(default_factory=ExitStack)  # what a test has prepared

    @classmethod
    def make(cls, store: Path, method: str, overrides: Sequence[str] = ()) -> Bench:
        return cls.of(*planned(shrunk(store, f"method={method}", *overrides), method))

    @classmethod
    def of(cls, config: Config, plan: Plan) -> Bench:
        runner = Runner(
            config,
            plan,
            read_data(config, plan),
            machine=resolve_machine(config.runtime),
            screen=Screen(),
            tracker=NoTracker(),
        )
        return cls(config, plan, runner)
