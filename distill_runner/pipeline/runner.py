"""Runs a plan: for each stage, finds its artifact in the store or trains it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from distill_runner.config.schema import Config
from distill_runner.console.names import format_count, stage_name
from distill_runner.console.screen import Screen
from distill_runner.console.time_left import duration
from distill_runner.methods.base import NothingToLearn
from distill_runner.pipeline.chains import Chains
from distill_runner.pipeline.model_checks import ModelChecks
from distill_runner.pipeline.model_origins import from_classifier
from distill_runner.pipeline.outcome import Outcome, outcome_of
from distill_runner.pipeline.parts import assemble
from distill_runner.pipeline.predictions import Predictions
from distill_runner.pipeline.preflight import Preflight, preflight
from distill_runner.pipeline.run_curves import RunCurves
from distill_runner.pipeline.run_progress import RunProgress
from distill_runner.pipeline.stage_costs import costs_of, rows_of
from distill_runner.pipeline.stage_records import read_record
from distill_runner.pipeline.stage_training import StageTrainer
from distill_runner.pipeline.teacher_scores import show_teacher
from distill_runner.planning.stages import Plan, Stage, steps_of
from distill_runner.runtime.machine import Machine, cores
from distill_runner.runtime.provenance import surroundings
from distill_runner.storage.earlier_layout import report_earlier_layout
from distill_runner.storage.integrity import Damaged, sweep
from distill_runner.storage.store import Artifact
from distill_runner.tracking.curves import latest_loss
from distill_runner.tracking.trackers import Tracker
from distill_runner.training.stage_job import Job

if TYPE_CHECKING:
    from distill_runner.data.load import Prepared

_LOOK_AGAIN = 0.2  # seconds between looks while all ready stages are in training elsewhere


class Runner:
    """Runs the stages of one plan; `parts` holds what it works with."""

    def __init__(
        self,
        config: Config,
        plan: Plan,
        data: Mapping[str, Prepared],
        *,
        machine: Machine,
        screen: Screen,
        tracker: Tracker,
    ) -> None:
        sweep(Path(config.store.dir))
        report_earlier_layout(Path(config.store.dir), say=screen.print)
        surroundings()  # recorded now, as the files may change while stages train
        self.parts = parts = assemble(
            config, plan, data, machine=machine, say=screen.print, repair=self._repair
        )
        self._curves, self._progress = RunCurves(tracker), RunProgress(screen)
        self._trainer = StageTrainer(
            config, parts, self._curves, self._progress, machine=machine, screen=screen
        )
        self._config = config
        self._plan = plan
        self._screen = screen
        self._store, self._finished = parts.store, parts.finished
        self._chains = Chains(
            plan,
            parts.data,
            finished=parts.finished,
            logits=parts.logits,
            baseline_steps=config.evaluation.baseline_steps,
            say=screen.print,
        )
        self._preflight: Preflight | None = None
        self._made: set[str] = set()  # names of the stages that this process trained
        self._settled: dict[str, Stage] = {}
        self._found: set[str] = set()  # names of the stages that were done when settled
        self._with_workers = False
        self._waited_for: set[str] = set()

    def preflight(self) -> Preflight:
        """Find and check all models; later calls return the result of the first.

        Raises:
            Refused: a model cannot serve the plan.
        """
        if self._preflight is None:
            self._preflight = preflight(
                self._plan,
                checks=ModelChecks(self._config, self._plan, self.parts.data, self.parts.folders),
                settle=self._settle,
                is_found=lambda stage: stage.name in self._found,
                say=self._screen.print,
                dry_run=self._config.dry_run,
            )
        return self._preflight

    def track(self, tracker: Tracker) -> None:
        """Send the curves to this tracker from here on."""
        self._curves.track(tracker)

    def key_of(self, stage: Stage) -> str:
        """Return the key under which the stage's artifact is stored."""
        return self.parts.keys.key_of(stage)

    @contextmanager
    def prepare(self, stage: Stage, *, folder: Path) -> Iterator[Job]:
        """Yield everything that the stage's training loop needs, wired as in a run.

        The stages that it needs are found or trained first. Each call makes new learners, which
        are ready to train inside the block (`StageTrainer.prepare`).

        Args:
            stage: of the plan.
            folder: for the checkpoint, the best weights and the curves.
        """
        self._finish_needs_of(stage)
        with self._trainer.prepare(stage, folder=folder) as job:
            yield job

    def run(self, *, with_workers: bool = False) -> Outcome:
        """Make every missing artifact in order, except those that other processes are making.

        Args:
            with_workers: whether other processes of this run train stages too.

        Raises:
            DistillError: a stage failed; the finished ones are kept.
        """
        missing, left = self.preflight().missing, list(self._plan.stages)
        at_once = min(self._config.runtime.processes, cores()) if with_workers else 1
        costs = costs_of(missing, self._plan, self.parts.data, self.parts.folders)
        self._progress.begin(costs, at_once=at_once)
        self._with_workers = with_workers
        while left:
            stage = self._next(left)
            if stage is None:
                self._wait(left)
                continue
            left = [other for other in left if other.name != stage.name]
            self._take_or_end(stage)
            self._chains.stop_if_no_better(stage)
            left = [other for other in left if other.name not in self._chains.left_out]
            for name in self._chains.left_out:
                self._progress.end(name)
        return self._outcome(missing)

    def predictions(self, outcome: Outcome) -> Predictions:
        """Return the predictions of the finished plan's models."""
        return Predictions(outcome.plan, self.parts, say=self._screen.print)

    def _outcome(self, missing: Sequence[Stage]) -> Outcome:
        plan, finished = self._chains.plan_as_run(self._settled), self._finished
        for name in plan.members or (plan.deployed,):
            if name in finished:
                finished.whole(name)  # checked and repaired before it is delivered
        by_workers = {stage.name for stage in missing if self._with_workers} - self._found
        return outcome_of(
            plan,
            self._plan,
            finished=finished,
            folders=self.parts.folders,
            trained=self._made | by_workers,
            broken_off=self._chains.broken_off,
        )

    # --- the next stage ------------------------------------------------------------------

    def _next(self, left: Sequence[Stage]) -> Stage | None:
        """Return the first stage whose needs are met and that no other process trains."""
        for planned in left:
            stage = self._settle(planned)
            if stage is None or any(name not in self._finished for name in stage.needs_stages):
                continue
            if self._is_done(stage) or self._store.is_free(self.key_of(stage)):
                return stage
        return None

    def _wait(self, left: Sequence[Stage]) -> None:
        """Wait for a stage to be free; show the progress of the first one trained elsewhere."""
        stage = next(one for planned in left if (one := self._settle(planned)))
        total = steps_of(stage.training, rows_of(stage, self._plan, self.parts.data[stage.data]))
        curves = self._store.unfinished(self.key_of(stage)) / "metrics.jsonl"
        made = latest_loss(curves) or (0, 0.0)
        if not self._with_workers and stage.name not in self._waited_for:
            self._waited_for.add(stage.name)
            self._show_waiting(stage)
        with self._progress.bar(stage.name, total=total, start=made[0]) as bar:
            while self._next(left) is None:
                time.sleep(_LOOK_AGAIN)
                now = latest_loss(curves) or made
                if now != made:
                    bar.show(now[0], {"loss": now[1]})

    def _settle(self, planned: Stage) -> Stage | None:
        """Return the stage as it is trained; None while a baseline is undecided."""
        if planned.name not in self._settled:
            stage = self._chains.baseline(planned) if planned.compared_with else planned
            if stage is None:
                return None
            self._settled[planned.name] = stage
            if self._is_done(stage):
                self._found.add(stage.name)
        return self._settled[planned.name]

    # --- one stage -----------------------------------------------------------------------

    def _take_or_end(self, stage: Stage) -> None:
        """Take the stage; a repetition that has nothing to learn from ends its chain instead.

        Raises:
            NothingToLearn: no repetition is done yet.
        """
        try:
            self._take(stage)
        except NothingToLearn as nothing:
            self._chains.end_before(stage, nothing)

    def _take(self, stage: Stage) -> None:
        """Find the stage's artifact, or make it."""
        key = self.key_of(stage)
        made = None if self._is_done(stage) else self._train(stage, key)
        artifact = made or self._store.artifact(key)
        self._finished.add(stage.name, artifact)
        self._progress.end(stage.name)
        self._screen.print(f"✓ {stage_name(stage.name)}: {self._how(stage)}")
        if made is None:
            if not stage.is_teacher or stage.name not in self._found:
                self._curves.replay(artifact, stage)
            self._curves.end(read_record(artifact).training.steps)
        if stage.is_teacher:
            show_teacher(
                stage,
                config=self._config,
                data=self.parts.data,
                logits=self.parts.logits,
                may_have_seen_test_rows=from_classifier(stage, self._plan, self.parts.folders),
                say=self._screen.print,
            )

    def _how(self, stage: Stage) -> str:
        """Return how a finished stage came about."""
        if stage.name in self._found and stage.name not in self._made:
            return f"found in the store ({self.key_of(stage)})"
        if not stage.training.epochs:
            return "as it is" if stage.is_given else "at its start"
        training = read_record(self._finished[stage.name]).training
        took = f"{format_count(training.steps, 'step')} in {duration(training.wall_seconds)}"
        elsewhere = stage.name not in self._made and not self._with_workers
        return f"trained by another distill-run, {took}" if elsewhere else f"trained, {took}"

    def _finish_needs_of(self, stage: Stage) -> None:
        """Take the stages that this one needs, and those that they need, in the plan's order."""
        for name in stage.needs_stages:
            if name not in self._finished:
                needed = self._plan.stage(name)
                self._finish_needs_of(needed)
                self._take(needed)

    def _is_done(self, stage: Stage, *, hashed: bool = False) -> bool:
        """Return whether the stage's artifact is usable; `hashed` reads every file of it."""
        # A forced run repeats its own stages once; teachers are shared with other runs.
        forced = self._config.force and not stage.is_teacher
        if forced and stage.name not in self._made:
            return False
        return self._store.has(self.key_of(stage), hashed=hashed)

    def _repair(self, name: str) -> None:
        """Read every file of a finished stage's artifact; make it again if one is damaged."""
        stage = self._settled.get(name) or self._plan.stage(name)
        if not self._is_done(stage, hashed=True):
            self._train(stage, self.key_of(stage))

    def _train(self, stage: Stage, key: str) -> Artifact | None:
        """Make the stage's artifact; return None if another process made it meanwhile."""
        with self._store.claim(key, waiting=lambda: self._show_waiting(stage)) as unfinished:
            if self._is_done(stage, hashed=True):
                return None
            self._store.set_damage_aside(key)
            artifact: Artifact | None = None
            try:
                artifact = self._trainer.train(stage, key, unfinished)
            except Damaged as damage:
                if not damage.path.is_relative_to(unfinished):
                    raise
                self._store.begin_again(unfinished, f"{damage.path.name}: {damage.why}")
            # Outside the handler, whose traceback keeps the first attempt's models in memory.
            artifact = artifact or self._trainer.train(stage, key, unfinished)
            self._made.add(stage.name)
            return artifact

    def _show_waiting(self, stage: Stage) -> None:
        self._screen.print(f"  {stage_name(stage.name)}: another process trains it; waiting for it")
