"""One job: from a composed configuration to a run folder, whatever happens on the way."""

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
from distill_runner.config.compose import raw_method, typed
from distill_runner.config.schema import Config
from distill_runner.console.screen import Screen, quiet_libraries
from distill_runner.errors import DistillError, Refused
from distill_runner.jobs.announcements import show_result
from distill_runner.jobs.local_checks import check_local, is_local_classifier
from distill_runner.jobs.output_folder import OutputFolder, check_store_apart
from distill_runner.jobs.preflight import Hub, Ready, prepared
from distill_runner.jobs.run_card import run_card
from distill_runner.methods.construct import make_algorithm
from distill_runner.planning.planner import make_plan
from distill_runner.planning.stages import TASK, Plan
from distill_runner.planning.unread_settings import check_all_read, unused_choices
from distill_runner.report.summary import Summary, tracker_summary
from distill_runner.results.files import Attempt, Status
from distill_runner.results.schema import RunResult
from distill_runner.storage.disk import behind, of_the_system
from distill_runner.storage.store import plain, write_json
from distill_runner.tracking.trackers import Tracker, make_tracker


@dataclass(frozen=True)
class Command:
    """What was typed for one job, and what Hydra made of it.

    Args:
        config: as Hydra composed it.
        untyped: composes the same from the typed groups alone, without the typed keys.
        choices: the option chosen in each group.
        overrides: what was typed.
        folder: of this job.
        sweeping: one of several jobs: its failure must not stop the others.
        shared: typed keys that hold for all the jobs of a sweep.
        swept: keys that have several values in it.
        show: print to the terminal; the log has it either way.
        tracker: warmed up already; None: made when the run opens it.
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
    tracker: Tracker | None = None


def run_job(command: Command) -> RunResult | None:
    """Run one job; its folder holds a `result.json` where it finished, else what was there before.

    Returns:
        What `result.json` holds; None of a dry run, and of a job of a sweep that failed.

    Raises:
        DistillError: the job failed, and it is the only one.
    """
    overrides = tuple(command.overrides)
    with OutputFolder.claimed(command.folder) as output:
        screen = Screen(silent=not command.show)
        try:
            if command.sweeping:
                # The sweep's table tells of every job.
                _keep(output, screen, overrides)
                screen.print(f"\n── {output.path.name}: {' '.join(overrides)}")
            job = _Job(command, output=output, screen=screen)
            result = job.run()
            status: Status = "planned" if result is None else "finished"
            output.attempted(Attempt(status=status, overrides=overrides, seconds=job.seconds))
            return result
        except Exception as raised:
            error = _explained(raised, screen, command)
            _leave(output, screen, error, overrides, sweeping=command.sweeping)
        except KeyboardInterrupt:
            output.attempted(Attempt(status="interrupted", overrides=overrides))
            raise
        finally:
            screen.close()
    return None


def _keep(output: OutputFolder, screen: Screen, overrides: Sequence[str]) -> None:
    """From here on the run's folder stays, with its log and what became of the command."""
    if not output.kept:
        output.keep()
        screen.keep_log(output.path)
        output.attempted(Attempt(status="started", overrides=tuple(overrides)))


def _leave(
    output: OutputFolder,
    screen: Screen,
    error: DistillError,
    overrides: Sequence[str],
    *,
    sweeping: bool,
) -> None:
    """Leave word of what went wrong, and go on with the sweep if there is one."""
    refused = isinstance(error, Refused)
    if not refused:
        _keep(output, screen, overrides)
    status: Status = "refused" if refused else "failed"
    output.attempted(Attempt(status=status, overrides=tuple(overrides), error=str(error)))
    if not sweeping:
        raise error
    screen.print(f"{status}: {error}")


def _explained(raised: Exception, screen: Screen, command: Command) -> DistillError:
    """The failure as one that says what to do; a fault of ours leaves its traceback in the log."""
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
    refused_by_disk = behind(raised)
    if refused_by_disk is not None:
        places = {"store.dir": Path(command.config.store.dir), "output_dir": command.folder}
        return of_the_system(refused_by_disk, places)
    return DistillError(
        f"{type(raised).__name__}: {raised}\n"
        "  this is a fault of distill-run's own; the traceback is in log.txt of the run folder"
    )


class _Job:
    def __init__(self, command: Command, *, output: OutputFolder, screen: Screen) -> None:
        self._began = time.monotonic()
        self._command = command
        self._output = output
        self._screen = screen

    def run(self) -> RunResult | None:
        """Make the plan and carry it out; None where the plan is all that was asked for."""
        quiet_libraries()
        config = typed(self._command.config)
        check_store_apart(Path(config.store.dir), self._output.path)
        check_local(config, self._plan(config, partial(is_local_classifier, config=config)))
        hub = Hub(config)
        plan = self._plan(config, hub.is_classifier)
        self._check_typed(config, plan)
        ready = prepared(
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
        write_json(unfinished / "plan.json", {"method": plan.method, "stages": plain(plan.stages)})
        return self._run(config, plan, ready)

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
        """Since the job began."""
        return round(time.monotonic() - self._began, 2)

    def _check_typed(self, config: Config, plan: Plan) -> None:
        """Refuse what was typed and is not read; say what a group or another job may do with."""
        classifiers = {stage.learner.id for stage in plan.stages if stage.already_finetuned}
        said = check_all_read(
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
        for line in (*([unused] if unused else []), *said):
            self._screen.print(line)

    def _run(self, config: Config, plan: Plan, ready: Ready) -> RunResult:
        from distill_runner.data.inputs import given_data
        from distill_runner.jobs.run_folder import write_run_folder
        from distill_runner.pipeline.stage_workers import count_of, helpers
        from distill_runner.results.collect.finished import FinishedRun
        from distill_runner.results.collect.run import collect_result

        data, machine, runner = ready.data, ready.machine, ready.runner
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
            with helpers(config, plan, count=count):
                outcome = runner.run(with_workers=count > 0)
            answers = runner.predictions(outcome)
            result = collect_result(
                FinishedRun(config, data, outcome, answers),
                machine=machine,
                overrides=self._command.overrides,
                sources=sources,
            )
            write_run_folder(self._output.unfinished, config, data[TASK], outcome, answers, result)
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
        chosen = {group: o for group, o in self._command.choices.items() if "hydra" not in group}
        card = run_card(
            config,
            plan,
            settings={**dict(resolved), "choices": chosen},  # type: ignore[arg-type]
            overrides=self._command.overrides,
            swept=self._command.swept,
            sweep=self._output.path.parent if self._command.sweeping else None,
        )
        tracker = self._command.tracker or make_tracker(config.tracker)
        tracker.open(self._output.path, card)
        return tracker
