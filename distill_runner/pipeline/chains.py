"""Decisions made while a plan runs: where its chain ends, how long its baseline trains."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from distill_runner.config.schema import BaselineSteps
from distill_runner.methods.base import NothingToLearn
from distill_runner.pipeline.logit_cache import LogitCache
from distill_runner.pipeline.stage_records import read_record
from distill_runner.pipeline.task_data import TaskData
from distill_runner.planning.baseline import matched_baseline, steps_made
from distill_runner.planning.stages import Plan, Stage, steps_of
from distill_runner.storage.store import Artifact


class Chains:
    """Decides what depends on finished stages: where a chain ends, and the baseline's steps.

    Args:
        data: the plan's data sets, by name.
        finished: the artifacts of the stages done so far, by name.
        logits: gives the repetitions' logits on validation.
        baseline_steps: how long to train the baseline.
        say: prints each decision.
    """

    def __init__(
        self,
        plan: Plan,
        data: Mapping[str, TaskData],
        *,
        finished: Mapping[str, Artifact],
        logits: LogitCache,
        baseline_steps: BaselineSteps,
        say: Callable[[str], None],
    ) -> None:
        self._plan = plan
        self._data = data
        self._finished = finished
        self._logits = logits
        self._baseline_steps = baseline_steps
        self._say = say
        self.left_out: set[str] = set()  # names of the repetitions that are not run
        self.broken_off: dict[str, str] = {}  # by name, why a repetition could not run

    # --- chains --------------------------------------------------------------------------

    def stop_if_no_better(self, stage: Stage) -> None:
        """Skip the later repetitions if this one did not improve the validation score."""
        chain = self._plan.stopping
        if stage.name not in chain or stage.name not in self._finished:
            return
        done = chain[: chain.index(stage.name) + 1]
        if len(done) < 2 or self._best(done) == stage.name:
            return
        rest = chain[len(done) :]
        if rest:
            self._say(f"  {stage.name} is no better than the one before: the chain stops there")
        self.left_out.update(rest)

    def end_before(self, stage: Stage, nothing: NothingToLearn) -> None:
        """End the chain before a repetition that has nothing to learn from.

        Raises:
            NothingToLearn: no repetition is done yet.
        """
        chain = self._plan.chain
        done = [name for name in chain if name in self._finished]
        if stage.name not in chain or not done:
            raise nothing
        self.broken_off[stage.name] = nothing.what
        self.left_out.update(chain[len(done) :])
        self._say(f"  THE CHAIN ENDS before {stage.name}: {nothing}")

    def plan_as_run(self, settled: Mapping[str, Stage]) -> Plan:
        """Return the plan as it was carried out.

        Args:
            settled: the plan's stages as they were trained, by name.
        """
        plan = self._plan
        stages = [settled[stage.name] for stage in plan.stages if stage.name in self._finished]
        done = tuple(name for name in plan.candidates if name in self._finished)
        return replace(
            plan,
            stages=tuple(stages),
            # A single candidate was not selected by validation.
            stopping=done if plan.stopping and len(done) > 1 else (),
            # No candidate is done if only the stages before them were run.
            deployed=self._deployed(done) if done else plan.deployed,
        )

    def _deployed(self, done: Sequence[str]) -> str:
        """Return the best finished candidate on validation, or the last if none is selected."""
        return self._best(done) if self._plan.stopping else done[-1]

    def _best(self, names: Sequence[str]) -> str:
        """Return the stage with the highest validation score, the first among equals."""
        scores = [self._on_validation(name) for name in names]
        return names[scores.index(max(scores))]

    def _on_validation(self, name: str) -> float:
        return self._logits.validation_score(name)

    # --- the baseline --------------------------------------------------------------------

    def baseline(self, planned: Stage) -> Stage | None:
        """Return the baseline as it will be trained; None while that is undecided."""
        kept = planned.compared_with
        done = [name for name in kept if name in self._finished]
        chosen = self._deployed(done) if done and self._is_over(kept) else None
        rows = self._rows_of(planned)
        assert rows is not None  # a baseline reads no pool
        stage = matched_baseline(
            planned,
            self._plan,
            kept if chosen is None else (chosen,),
            rows=rows,
            steps=self._steps_of,
            length=self._baseline_steps,
        )
        if stage is not None and chosen is not None:
            made = steps_made(self._plan, chosen, self._steps_of)
            own = steps_of(stage.training, rows)
            self._say(f"  {stage.name}: {own:,} steps; {chosen} has made {made:,}")
        return stage

    def _is_over(self, names: Sequence[str]) -> bool:
        return all(name in self._finished or name in self.left_out for name in names)

    def _rows_of(self, stage: Stage) -> int | None:
        """Count the rows that the stage trains on; None if a teacher chooses them."""
        counts = self._data[stage.data].data.counts
        return None if stage.chooses_rows else self._plan.rows_of(stage, counts)

    def _steps_of(self, stage: Stage) -> int | None:
        rows = self._rows_of(stage)
        if rows is not None:
            return steps_of(stage.training, rows)
        found = self._finished.get(stage.name)
        return None if found is None else read_record(found).training.steps
