"""Other processes that take stages of a run which need not wait for those in training.

Processes, not threads: two stages on one thread each do more in a second than one on two. They
meet at the store alone, where a stage in training is claimed; where a stage's randomness is drawn
does not depend on who trains it, so its weights do not either.
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

_PATIENCE = 60.0  # seconds for a helper to leave; it may have to import what it needs first


def count_of(config: Config, machine: Machine, missing: Sequence[Stage]) -> int:
    """How many helpers have something to do at once beside the run itself.

    Args:
        missing: the stages that are not in the store.
    """
    names = {stage.name for stage in missing}
    ready = sum(
        not names.intersection((*stage.needs_stages, *stage.compared_with)) for stage in missing
    )
    # A GPU is busy with one stage. A forced run's stages are in the store: nobody can tell
    # there which were made again.
    if machine.device.type != "cpu" or config.force:
        return 0
    return max(0, min(config.runtime.processes, cores(), ready) - 1)


@contextmanager
def helpers(config: Config, plan: Plan, *, count: int) -> Iterator[None]:
    """Inside, so many processes train stages of the plan that are ready and that nobody trains.

    Where `runtime.threads` names no number, they and the run share the cores.
    """
    alone = torch.get_num_threads()
    if count and config.runtime.threads == 0:
        share_cores(1 + count)
    # Spawned: a fork of a process that has computed with OpenMP threads hangs.
    context = multiprocessing.get_context("spawn")
    started = [
        context.Process(target=_help, args=(config, plan, 1 + count), daemon=True)
        for _ in range(count)
    ]
    try:
        with _unheard(), _without_main():
            for process in started:
                process.start()
        yield
    finally:
        _end_all([process for process in started if process.pid is not None])
        torch.set_num_threads(alone)


def _end_all(started: Sequence[SpawnProcess]) -> None:
    for process in started:
        process.terminate()
    for process in started:
        process.join(_PATIENCE)
        if process.is_alive():  # a library has swallowed the notice
            process.kill()
            process.join()


@contextmanager
def _unheard() -> Iterator[None]:
    """Whoever is started inside hears of its end once it listens, and not half-imported."""
    # Its own start would unblock the signal again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _without_main() -> Iterator[None]:
    """Inside, new processes do not import the program that called us: that would run it again."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


class _Silent(Screen):
    """Shows nothing, and leaves what is damaged to the run, which tells of it."""

    def print(self, *parts: RenderableType) -> None:
        if any(is_damage(part) for part in parts):
            raise DistillError(str(parts[0]))


def _help(config: Config, plan: Plan, processes: int) -> None:
    """Train what is free until the run, one of so many processes, has all it needs."""
    # An interrupt is for the run, which ends its helpers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_the_run, daemon=True).start()
    sys.unraisablehook = _told_elsewhere
    # What libraries lock with is then a semaphore without a name, which nobody has to remove.
    multiprocessing.set_start_method("fork", force=True)
    try:
        signal.signal(signal.SIGTERM, _end)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        _train_what_is_free(config, plan, processes)
    finally:
        # Told to stop while it goes: it goes.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _end(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit()


def _told_elsewhere(unraisable: Any) -> None:
    """Leave at once where a finalizer was told to stop, which Python would only report."""
    if isinstance(unraisable.exc_value, SystemExit):
        os._exit(0)
    sys.__unraisablehook__(unraisable)


def _train_what_is_free(config: Config, plan: Plan, processes: int) -> None:
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
        # The claim is let go: the run comes to the same stage, and tells what is wrong with it.
        return


def _leave_with_the_run() -> None:
    """Also where the run is killed: what nobody waits for is not trained on."""
    run = multiprocessing.parent_process()
    assert run is not None
    run.join()
    os._exit(1)
