"""Worker processes that train a run's independent stages side by side.

They are processes, not threads: two stages on one thread each make more steps per second than one
stage on two. They share nothing but the store, where a stage in training is claimed. A stage's
random draws do not depend on the process that trains it, so neither do its weights.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnProcess
from types import ModuleType
from typing import Any

import torch
from rich.console import RenderableType

from distill_runner.config.schema import Config
from distill_runner.console.screen import Screen, quiet_libraries
from distill_runner.data.inputs import read_data
from distill_runner.errors import DistillError
from distill_runner.pipeline.runner import Runner
from distill_runner.planning.stages import Plan, Stage
from distill_runner.runtime.machine import Machine, cores, resolve_machine, share_cores
from distill_runner.storage.integrity import is_damage
from distill_runner.tracking.trackers import NoTracker

_PATIENCE = 60.0  # seconds for a worker to exit; it may still be importing


def count_of(config: Config, machine: Machine, missing: Sequence[Stage]) -> int:
    """Return how many workers can train a stage in parallel with the run itself.

    Args:
        missing: the stages that are not in the store.
    """
    names = {stage.name for stage in missing}
    ready = sum(
        not names.intersection((*stage.needs_stages, *stage.compared_with)) for stage in missing
    )
    # One stage keeps a GPU busy. The stages of a forced run are in the store already, so the
    # store cannot tell which of them were trained again.
    if machine.device.type != "cpu" or config.force:
        return 0
    return max(0, min(config.runtime.processes, cores(), ready) - 1)


@contextmanager
def stage_workers(config: Config, plan: Plan, *, count: int) -> Iterator[None]:
    """Run `count` processes, inside the block, that train ready and unclaimed stages of the plan.

    If `runtime.threads` is 0, they share the cores with the run.
    """
    threads_before = torch.get_num_threads()
    if count and config.runtime.threads == 0:
        share_cores(1 + count)
    # Spawned, because a fork of a process that has run OpenMP threads hangs.
    context = multiprocessing.get_context("spawn")
    started = [
        context.Process(target=_work, args=(config, plan, 1 + count), daemon=True)
        for _ in range(count)
    ]
    try:
        with _signals_blocked(), _without_main():
            for process in started:
                process.start()
        yield
    finally:
        _end_all([process for process in started if process.pid is not None])
        torch.set_num_threads(threads_before)


def _end_all(started: Sequence[SpawnProcess]) -> None:
    for process in started:
        process.terminate()
    for process in started:
        process.join(_PATIENCE)
        if process.is_alive():  # a library swallowed the SIGTERM
            process.kill()
            process.join()


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Block SIGTERM in processes started inside the block; they unblock it after their imports."""
    # Started later, the resource tracker would unblock the signal.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _without_main() -> Iterator[None]:
    """Keep processes started inside the block from importing, and so rerunning, the caller."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


class _Silent(Screen):
    """Prints nothing; stops at damage in the store, which the run then reports."""

    def print(self, *parts: RenderableType) -> None:
        if any(is_damage(part) for part in parts):
            raise DistillError(str(parts[0]))


def _work(config: Config, plan: Plan, processes: int) -> None:
    """Train unclaimed stages until the plan is done.

    Args:
        processes: number of the run's processes, including this one; they share the cores.
    """
    # Ctrl-C reaches the run, which ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_the_run, daemon=True).start()
    sys.unraisablehook = _exit_quietly
    # Libraries then lock with unnamed semaphores, which need no clean-up.
    multiprocessing.set_start_method("fork", force=True)
    try:
        signal.signal(signal.SIGTERM, _end)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        _train_unclaimed_stages(config, plan, processes)
    finally:
        # A second SIGTERM must not interrupt the exit.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _end(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit()


def _exit_quietly(unraisable: Any) -> None:
    """Exit immediately if SIGTERM came inside a finalizer, which Python would only report."""
    if isinstance(unraisable.exc_value, SystemExit):
        os._exit(0)
    sys.__unraisablehook__(unraisable)


def _train_unclaimed_stages(config: Config, plan: Plan, processes: int) -> None:
    quiet_libraries()
    machine = resolve_machine(config.runtime)
    if config.runtime.threads == 0:
        share_cores(processes)
    screen = _Silent(silent=True)
    runner = Runner(
        config,
        plan,
        read_data(config, plan, say=screen.print),
        machine=machine,
        screen=screen,
        tracker=NoTracker(),
    )
    try:
        runner.run()
    except (Exception, KeyboardInterrupt):
        # The claim is released: the run takes the same stage and reports the failure.
        return


def _exit_with_the_run() -> None:
    """Exit when the run does, even if it was killed."""
    run = multiprocessing.parent_process()
    assert run is not None
    run.join()
    os._exit(1)
