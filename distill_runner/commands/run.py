"""Config → plan → run → summary. The only @hydra.main.

Nothing heavy is imported until a job starts, so typos are answered at once.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from distill_runner.command_line.flags import arguments, in_order
from distill_runner.command_line.hydra_errors import below_nothing, explain
from distill_runner.command_line.overrides import (
    check_overrides,
    check_typed_once,
    groups_among,
    shared_in_sweep,
    swept_keys,
)
from distill_runner.commands.corrections import with_way_out
from distill_runner.config.compose import config_path, register_schema
from distill_runner.config.sweep_composition import compose_no_run_for_its_mode
from distill_runner.console.printable import visible, wrapped
from distill_runner.errors import DistillError, Refused
from distill_runner.jobs.sweep import SweepTable
from distill_runner.storage.disk import Places, of_the_system
from distill_runner.storage.new_folders import NewFolders
from distill_runner.tracking.trackers import EarlyChild


def answer() -> None:
    """Do what `sys.argv` asks for; exit status 1 where it failed, 2 where it was refused."""
    # Hydra would print its own errors and exit 1; raised instead, they are told apart here.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    register_schema()
    sys.argv[1:] = in_order(sys.argv[1:])
    words, overrides = sys.argv[1:], list[str]()
    verdicts: list[DistillError] = []
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        # A cluster's notice is heard as Ctrl-C is: helpers are ended, and keep where they are.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        overrides, sweeping = arguments(sys.argv[1:])
        check_overrides(overrides, sweeping=sweeping)
        check_typed_once(overrides)
        _run_hydra(overrides, verdicts)
        verdicts += [SweepTable.verdict] if SweepTable.verdict is not None else []
    except DistillError as error:
        verdicts.append(error)
    except (HydraException, OmegaConfBaseException) as error:
        verdicts.append(explain(error, overrides))
    except AssertionError as error:
        verdicts.append(below_nothing(error, overrides))
    except BrokenPipeError:
        raise
    except OSError as error:
        verdicts.append(of_the_system(error, _places(overrides)))
    except SystemExit:
        # A sweep that must not begin; whoever else leaves has said why.
        if SweepTable.verdict is None:
            raise
        verdicts.append(SweepTable.verdict)
    if verdicts:
        verdict = verdicts[0]
        if isinstance(verdict, Refused):
            verdict = with_way_out(verdict, words)
        print(_to_be_read(verdict), file=sys.stderr)
        sys.exit(verdict.exit_status)


def _to_be_read(verdict: DistillError) -> str:
    """The message; on a terminal its lines end between words, but for a command to be copied."""
    text = f"distill-run: {visible(str(verdict))}"
    if not sys.stderr.isatty():
        return text
    parts = (verdict, *verdict.parts) if isinstance(verdict, Refused) else ()
    whole = "  try:  " if any(part.mend for part in parts) else None
    width = shutil.get_terminal_size().columns
    lines = text.split("\n")
    return "\n".join(
        line if whole and line.startswith(whole) else wrapped(line, width) for line in lines
    )


def _places(overrides: Sequence[str]) -> Places:
    """Where the run writes, as far as it is known before anything is composed."""
    asked = dict(text.split("=", 1) for text in overrides)
    usual = {"output_dir": "outputs/runs", "store.dir": "outputs/store"}
    return {key: Path(asked.get(key, folder)) for key, folder in usual.items()}


def _run_hydra(overrides: Sequence[str], verdicts: list[DistillError]) -> None:
    def job(config: DictConfig) -> float | None:
        # Kept rather than raised: Hydra prints a line of its own over what a job raises.
        try:
            return _job(config, overrides)
        except DistillError as error:
            verdicts.append(error)
        except OmegaConfBaseException as error:
            verdicts.append(explain(error, overrides))
        except BrokenPipeError:
            raise
        except OSError as error:
            verdicts.append(of_the_system(error, _places(overrides)))
        # Not NaN, which Optuna's sweeper stumbles over.
        return None

    compose_no_run_for_its_mode()
    decorated = hydra.main(version_base="1.3", config_path=config_path(), config_name="config")
    try:
        decorated(job)()
    except (HydraException, OmegaConfBaseException, AssertionError, OSError):
        raise
    except Exception as error:
        if not SweepTable.broken_off(error):
            raise
    finally:
        NewFolders.remove_empty()


def _job(config: DictConfig, overrides: Sequence[str]) -> float | None:
    with EarlyChild(config.tracker.kind) as early:
        return _run(config, overrides, early)


def _run(config: DictConfig, overrides: Sequence[str], early: EarlyChild) -> float | None:
    _import_jobs()
    from distill_runner.jobs.job import Command, run_job
    from distill_runner.report.choosing import validation_score

    hydra_config = HydraConfig.get()
    groups = groups_among([*hydra_config.overrides.task, *hydra_config.overrides.hydra])
    job = Command(
        config,
        untyped=lambda: _untyped(hydra_config.job.config_name, tuple(groups)),
        shared=shared_in_sweep(overrides),
        swept=swept_keys(overrides),
        choices={str(k): str(v) for k, v in hydra_config.runtime.choices.items()},
        overrides=list(hydra_config.overrides.task),
        folder=Path(hydra_config.runtime.output_dir),
        sweeping=hydra_config.mode is not None and hydra_config.mode.name == "MULTIRUN",
        wandb=early,
    )
    result = run_job(job)
    # What a search goes by: larger is better.
    return None if result is None else validation_score(result)


@cache
def _import_jobs() -> None:
    """Import what a job needs, and spare the garbage collector from going through it.

    They are two hundred thousand objects, torch's above all, and none of them is garbage.
    """
    gc.disable()
    try:
        import_module("distill_runner.jobs.job")
        gc.freeze()
    finally:
        gc.enable()


@cache
def _untyped(name: str, groups: tuple[str, ...]) -> DictConfig:
    """What the typed groups alone lead to: one composition for all the jobs that share them."""
    composed: DictConfig = hydra.compose(name, overrides=list(groups))
    return composed
