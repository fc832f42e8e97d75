"""Runs one job: from a composed configuration to a run folder and its result."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from distill_runner.command_line.hydra_errors import explain
from distill_runner.command_line.overrides import typed_groups, typed_keys
from distill_runner.config.compose import raw_method, to_dataclasses
from distill_runner.config.schema import Config
from distill_runner.console.screen import Screen, quiet_libraries
from distill_runner.errors import DistillError, Refused
from distill_runner.jobs.announcements import show_result
from distill_runner.jobs.local_checks import check_local, is_local_classifier
from distill_runner.jobs.output_folder import OutputFolder, check_store_apart
from distill_runner.jobs.preparation import ModelFinder, Ready, prepare_run
from distill_runner.jobs.run_card import run_card
from distill_runner.jobs.trials import run_trials
from distill_runner.methods.construct import make_algorithm
from distill_runner.planning.planner import make_plan
from distill_runner.planning.stages import Plan
from distill_runner.planning.unread_settings import check_all_read, unused_choices
from distill_runner.report.summary import Summary, tracker_summary
from distill_runner.results.files import Attempt, Status
from distill_runner.results.schema import RunResult
from distill_runner.storage.disk import explain_os_error, find_os_error
from distill_runner.storage.store import plain, write_json
from distill_runner.tracking.trackers import Tracker, make_tracker


@dataclass(frozen=True)
class Command:
    """One job as it was typed, and the configuration that Hydra composed from it.

    Args:
        config: the composed configuration.
        untyped: composes the configuration from the typed groups only, without the typed keys.
        choices: the option chosen in each group.
        overrides: what was typed.
        folder: the run folder.
        sweeping: it is a job of a sweep, and its failure must not stop the others.
        shared: typed keys with one value for all jobs of the sweep.
        swept: keys with several values in the sweep.
        show: print to the terminal; the log is written either way.
        tracker: one that is already starting, or why it does not; None: the run makes one.
    """

    config: DictConfig
    untyped: Callable[[], DictConfig]
    choices: Mapping[str, str]
    overrides: Sequence[str]
    folder: Path
    sweeping: bool = False
    shared: Collection[str] = ()
    swept: Collection[str] = ()
    show: bool = True
    tracker: Tracker | Exception | None = None


def run_job(command: Command) -> RunResult | None:
    """Run one job; an earlier finished run in its folder is only replaced by a finished one.

    Returns:
        The content of `result.json`; None for a dry run, and for a job that failed in a sweep.

    Raises:
        DistillError: the job failed, and is not part of a sweep.
    """
    overrides = tuple(command.overrides)
    with OutputFolder.claim(command.folder) as output:
        screen = Screen(silent=not command.show)
        try:
            if command.sweeping:
                # The sweep's table has a row for every job.
                _keep(output, screen, overrides)
                screen.print(f"\n── {output.path.name}: {' '.join(overrides)}")
            job = _Job(command, output=output, screen=screen)
            result = job.run()
            status: Status = "planned" if result is None else "finished"
            output.record_attempt(Attempt(status=status, overrides=overrides, seconds=job.seconds))
            return result
        except Exception as raised:
            error = _as_distill_error(raised, screen, command)
            _report_failure(output, screen, error, overrides, sweeping=command.sweeping)
        except KeyboardInterrupt:
            output.record_attempt(Attempt(status="interrupted", overrides=overrides))
            raise
        finally:
            screen.close()
    return None


def _keep(output: OutputFolder, screen: Screen, overrides: Sequence[str]) -> None:
    """Keep the run's folder from now on, and start its log and attempt.json."""
    if not output.kept:
        output.keep()
        screen.keep_log(output.path)
        output.record_attempt(Attempt(status="started", overrides=tuple(overrides)))


def _report_failure(
    output: OutputFolder,
    screen: Screen,
    error: DistillError,
    overrides: Sequence[str],
    *,
    sweeping: bool,
) -> None:
    """Record the failure in attempt.json; raise it unless the job belongs to a sweep."""
    refused = isinstance(error, Refused)
    if not refused:
        _keep(output, screen, overrides)
    status: Status = "refused" if refused else "failed"
    output.record_attempt(Attempt(status=status, overrides=tuple(overrides), error=str(error)))
    if not sweeping:
        raise error
    screen.print(f"{status}: {error}")


def _as_distill_error(raised: Exception, screen: Screen, command: Command) -> DistillError:
    """Turn any exception into one that explains itself; log the traceback of unexpected ones."""
    if isinstance(raised, DistillError):
        return raised
    if isinstance(raised, OmegaConfBaseException):
        return explain(raised, command.overrides)
    if type(raised).__name__ == "OutOfMemoryError":
        return DistillError(
            "The GPU's memory is full.\n"
            "  try:  a smaller training.batch_size, or training.accumulate=2 where the method "
            "allows it"
        )
    screen.note(*traceback.format_exception(raised))
    refused_by_disk = find_os_error(raised)
    if refused_by_disk is not None:
        places = {"store.dir": Path(command.config.store.dir), "output_dir": command.folder}
        return explain_os_error(refused_by_disk, places)
    return DistillError(
        f"{type(raised).__name__}: {raised}\n"
        "  this is a bug in distill-run; the traceback is in log.txt of the run folder"
    )


class _Job:
    """One attempt to run a command in its claimed folder."""

    def __init__(self, command: Command, *, output: OutputFolder, screen: Screen) -> None:
        self._began = time.monotonic()
        self._command = command
        self._output = output
        self._screen = screen

    def run(self) -> RunResult | None:
        """Make the plan and carry it out; None for a dry run."""
        quiet_libraries()
        if isinstance(self._command.tracker, Exception):
            raise self._command.tracker
        config = to_dataclasses(self._command.config)
        check_store_apart(Path(config.store.dir), self._output.path)
        check_local(config, self._plan(config, partial(is_local_classifier, config=config)))
        hub = ModelFinder(config)
        plan = self._plan(config, hub.is_classifier)
        self._check_overrides(config, plan)
        ready = prepare_run(
            config,
            plan,
            hub,
            screen=self._screen,
            folder=self._output.path,
            sweeping=self._command.sweeping,
        )
        if ready is None:
            return None
        _keep(self._output, self._screen, self._command.overrides)
        unfinished = self._output.unfinished
        (unfinished / "config.yaml").write_text(
            OmegaConf.to_yaml(self._command.config, resolve=True), encoding="utf-8"
        )
        ready = run_trials(config, ready, screen=self._screen)
        stages = plain(ready.plan.stages)
        write_json(unfinished / "plan.json", {"method": plan.method, "stages": stages})
        return self._run(config, ready)

    def _plan(self, config: Config, is_classifier: Callable[[str, str], bool]) -> Plan:
        return make_plan(
            config,
            method=self._command.choices["method"],
            raw_method=raw_method(self._command.config),
            make_algorithm=make_algorithm,
            is_classifier=is_classifier,
        )

    @property
    def seconds(self) -> float:
        """Wall-clock time since the job began."""
        return round(time.monotonic() - self._began, 2)

    def _check_overrides(self, config: Config, plan: Plan) -> None:
        """Refuse typed keys that nothing reads; print a note if other jobs may read them."""
        classifiers = {stage.learner.id for stage in plan.stages if stage.already_finetuned}
        notes = check_all_read(
            self._command.config,
            config,
            self._command.untyped,
            typed_keys(self._command.overrides),
            plan=plan,
            make_plan=lambda composed, settings: make_plan(
                settings,
                method=plan.method,
                raw_method=raw_method(composed),
                make_algorithm=make_algorithm,
                is_classifier=lambda model, _: model in classifiers,
            ),
            shared=self._command.shared,
        )
        unused = unused_choices(
            config, plan, self._command.choices, typed_groups(self._command.overrides)
        )
        for line in (*([unused] if unused else []), *notes):
            self._screen.print(line)

    def _run(self, config: Config, ready: Ready) -> RunResult:
        from distill_runner.data.inputs import given_data
        from distill_runner.jobs.run_folder import write_run_folder
        from distill_runner.pipeline.stage_workers import count_of, stage_workers
        from distill_runner.results.collect.finished import FinishedRun
        from distill_runner.results.collect.run import collect_result

        plan, data, machine, runner = ready.plan, ready.data, ready.machine, ready.runner
        tuned = ready.tuned
        sources = given_data(config, plan)
        tracker = self._tracker(config, plan)
        failed = True
        summary: Summary = {}
        try:
            runner.track(tracker)
            missing = runner.preflight().missing
            if missing:
                self._screen.print("time: known after the first steps")
            count = count_of(config, machine, missing)
            if count:
                self._screen.print(f"{1 + count} processes train stages side by side")
            self._screen.print("")
            with stage_workers(config, plan, count=count):
                outcome = runner.run(with_workers=count > 0)
            finished = FinishedRun(
                config,
                data,
                outcome if tuned is None else tuned.add_trained(outcome),
                runner.predictions(outcome),
                overrides=self._command.overrides,
                tuning=None if tuned is None else tuned.result,
            )
            result = collect_result(finished, machine=machine, sources=sources)
            write_run_folder(self._output.unfinished, finished, result)
            self._output.publish()
            summary = tracker_summary(result, seconds=self.seconds, folder=self._output.path)
            failed = False
        finally:
            tracker.finish(summary, failed=failed)
        show_result(
            self._screen,
            result,
            folder=self._output.path,
            sweeping=self._command.sweeping,
            note=tracker.note,
        )
        return result

    def _tracker(self, config: Config, plan: Plan) -> Tracker:
        resolved = OmegaConf.to_container(self._command.config, resolve=True, enum_to_str=True)
        choices = self._command.choices
        chosen = {group: choices[group] for group in choices if "hydra" not in group}
        card = run_card(
            config,
            plan,
            settings={**dict(resolved), "choices": chosen},  # type: ignore[arg-type]
            overrides=self._command.overrides,
            swept=self._command.swept,
            sweep=self._output.path.parent if self._command.sweeping else None,
        )
        warm = self._command.tracker
        tracker = warm if isinstance(warm, Tracker) else make_tracker(config.tracker)
        tracker.open(self._output.path, card)
        return tracker
