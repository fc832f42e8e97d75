"""Runs one command through Hydra: for the command line, a notebook or another program."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import cast

import hydra
from hydra._internal.utils import _run_hydra, get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from distill_runner.command_line.flags import arguments, flags_first
from distill_runner.command_line.hydra_errors import explain, explain_null_parent
from distill_runner.command_line.overrides import (
    check_overrides,
    check_typed_once,
    groups_among,
    shared_in_sweep,
    swept_keys,
)
from distill_runner.commands.verified_suggestions import with_way_out
from distill_runner.config.compose import config_path, register_schema
from distill_runner.config.schema import Tracker as TrackerSettings
from distill_runner.config.sweep_composition import skip_mode_composition
from distill_runner.errors import DistillError, Refused
from distill_runner.jobs.sweep import SweepTable
from distill_runner.results.schema import RunResult
from distill_runner.storage.disk import Places, explain_os_error
from distill_runner.storage.new_folders import NewFolders
from distill_runner.tracking.trackers import Tracker, make_tracker

_ERRORS = (HydraException, OmegaConfBaseException, AssertionError, OSError)


@dataclass
class Launch:
    """One command that Hydra carries out.

    Args:
        words: flags, GROUP=OPTION and KEY=VALUE.
        show: print to the terminal; a run's log is written either way.
        owns_process: nothing else runs in this process, so its garbage collector may be changed.
        needs_result: refuse a command that ends without a result.

    Attributes:
        result: of the last job that finished.
    """

    words: Sequence[str]
    show: bool = True
    owns_process: bool = False
    needs_result: bool = False
    result: RunResult | None = None
    _overrides: list[str] = field(default_factory=list)
    _verdicts: list[DistillError] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.words = flags_first(self.words)

    def carry_out(self) -> None:
        """Run the job, or each job of a sweep; with --cfg, print the configuration instead.

        Raises:
            Refused: the request cannot be met; the message suggests a command that works.
            DistillError: the work failed.
        """
        with _isolated_hydra(), _sigterm_as_interrupt():
            self._try()
            if self._verdicts:
                verdict = self._verdicts[0]
                if isinstance(verdict, Refused):
                    raise with_way_out(verdict, self.words)
                raise verdict

    def _try(self) -> None:
        """Check the words, run Hydra, and collect the errors."""
        try:
            self._overrides, sweeping = arguments(self.words)
            check_overrides(self._overrides, sweeping=sweeping)
            check_typed_once(self._overrides)
            self._run_hydra()
            self._verdicts += [SweepTable.verdict] if SweepTable.verdict is not None else []
        except BrokenPipeError:
            raise
        except (DistillError, *_ERRORS) as error:
            self._verdicts.append(self._explained(error))
        except SystemExit:
            # `SweepTable` exits to stop a sweep that must not begin; other exits pass through.
            if SweepTable.verdict is None:
                raise
            self._verdicts.append(SweepTable.verdict)

    def _explained(self, error: Exception) -> DistillError:
        if isinstance(error, HydraException | OmegaConfBaseException):
            return explain(error, self._overrides)
        if isinstance(error, AssertionError):
            return explain_null_parent(error, self._overrides)
        if isinstance(error, OSError):
            return explain_os_error(error, _places(self._overrides))
        assert isinstance(error, DistillError)
        return error

    def _run_hydra(self) -> None:
        parser = get_args_parser()
        try:
            _run_hydra(
                args=parser.parse_args(self.words),
                args_parser=parser,
                task_function=self._job,
                config_path=config_path(),
                config_name="config",
            )
        except _ERRORS:
            raise
        except Exception as error:
            if not SweepTable.report_broken_sweep(error):
                raise
        finally:
            NewFolders.remove_empty()

    def _job(self, config: DictConfig) -> float | None:
        """Run one job for Hydra; return the validation score, which a search maximises."""
        # Errors are collected, because Hydra adds a line of its own to those that are raised.
        try:
            if self.needs_result and config.dry_run:
                raise _no_result()
            with _warm_tracker(config) as tracker:
                return self._run(config, tracker)
        except BrokenPipeError:
            raise
        except (DistillError, OmegaConfBaseException, OSError) as error:
            self._verdicts.append(self._explained(error))
        # None rather than NaN, on which Optuna's sweeper fails.
        return None

    def _run(self, config: DictConfig, tracker: Tracker | Exception) -> float | None:
        if self.owns_process:
            _import_jobs()
        from distill_runner.jobs.job import Command, run_job
        from distill_runner.report.choosing import validation_score

        composed = HydraConfig.get()
        groups = groups_among([*composed.overrides.task, *composed.overrides.hydra])
        job = Command(
            config,
            untyped=lambda: _untyped(composed.job.config_name, tuple(groups)),
            shared=shared_in_sweep(self._overrides),
            swept=swept_keys(self._overrides),
            choices={str(k): str(v) for k, v in composed.runtime.choices.items()},
            overrides=list(composed.overrides.task),
            folder=Path(composed.runtime.output_dir),
            sweeping=composed.mode is not None and composed.mode.name == "MULTIRUN",
            tracker=tracker,
            show=self.show,
        )
        self.result = run_job(job)
        return None if self.result is None else validation_score(self.result)


@contextmanager
def _warm_tracker(config: DictConfig) -> Iterator[Tracker | Exception]:
    """Start the tracker while the job imports its libraries, and close it in the end.

    Yields:
        the tracker, or the reason why there is none, which the job reports as its own failure.
    """
    with ExitStack() as opened:
        found: Tracker | Exception
        try:
            settings = cast(TrackerSettings, OmegaConf.to_object(config.tracker))
            found = opened.enter_context(closing(make_tracker(settings)))
            if not config.dry_run:
                found.warm_up()
        except Exception as error:  # a tracker may be anyone's class
            found = error
        yield found


def _no_result() -> Refused:
    return Refused(
        "A dry run has no result.",
        key="dry_run",
        value=True,
        rule="dry_run=false in distill_runner.run",
        way_out="distill-run dry_run=true on the command line prints the plan",
    )


def _places(overrides: Sequence[str]) -> Places:
    """Return the folders that the run writes to, as far as the typed overrides tell."""
    typed = dict(text.split("=", 1) for text in overrides)
    defaults = {"output_dir": "outputs/runs", "store.dir": "outputs/store"}
    return {key: Path(typed.get(key, folder)) for key, folder in defaults.items()}


@contextmanager
def _isolated_hydra() -> Iterator[None]:
    """Reset Hydra inside the context, and restore the caller's state after it."""
    running, settings = GlobalHydra.instance(), HydraConfig.instance()
    before = running.hydra, settings.cfg, os.environ.get("HYDRA_FULL_ERROR")
    running.clear()
    hydra.version.setbase("1.3")
    # Makes Hydra raise its errors, which are explained here, rather than print them and exit.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    register_schema()
    _untyped.cache_clear()
    SweepTable.verdict = None
    with ExitStack() as undo:
        undo.enter_context(skip_mode_composition())
        try:
            yield
        finally:
            running.hydra, settings.cfg, full_error = before
            if full_error is None:
                os.environ.pop("HYDRA_FULL_ERROR", None)
            else:
                os.environ["HYDRA_FULL_ERROR"] = full_error


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Handle SIGTERM, as clusters send it, like Ctrl-C: end the workers and keep the last step."""
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@cache
def _import_jobs() -> None:
    """Import what a job needs, and exclude it from garbage collection.

    These are about 200,000 objects, mostly torch's, and none of them is garbage.
    """
    gc.disable()
    try:
        import_module("distill_runner.jobs.job")
        gc.freeze()
    finally:
        gc.enable()


@cache
def _untyped(name: str, groups: tuple[str, ...]) -> DictConfig:
    """Compose only the typed groups, once for all jobs that share them."""
    composed: DictConfig = hydra.compose(name, overrides=list(groups))
    return composed
