"""Tunes a plan: gives student and baseline the same trials, and keeps the best one for each.

A trial is a run of the plan with another training of the deployed stage and of the baseline. Its
stages go to the store like any others: trials share the stages before them, an interrupted trial
resumes, and the run that follows finds every stage that it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from distill_runner.pipeline.outcome import Outcome
from distill_runner.pipeline.runner import Runner
from distill_runner.planning.stages import Plan, Stage, TrialSettings
from distill_runner.planning.trials import plan_trial
from distill_runner.report.tuning import list_values, name_trial
from distill_runner.results.schema import TuningResult, TuningTrial


@dataclass(frozen=True)
class Tuned:
    """A plan after its trials.

    Args:
        plan: deployed stage and baseline as they were trained in the best trial of each.
        result: the trials, and which one was kept for each.
        trained: keys of the stages that the trials trained.
    """

    plan: Plan
    result: TuningResult
    trained: frozenset[str]

    def add_trained(self, outcome: Outcome) -> Outcome:
        """Return the outcome of the plan's run, with the trials' stages among those trained."""
        trained = [
            name
            for name, artifact in outcome.artifacts.items()
            if name in outcome.trained or artifact.key in self.trained
        ]
        return replace(outcome, trained=tuple(trained))


@dataclass(frozen=True)
class _Trial:
    """A finished trial: its validation scores, and its stages as they were trained."""

    settings: TrialSettings
    outcome: Outcome
    student: float
    baseline: float | None  # None if the plan has no baseline

    def record(self) -> TuningTrial:
        """Return what result.json keeps of the trial."""
        return TuningTrial(
            learning_rate=self.settings.learning_rate,
            epochs=self.settings.epochs,
            student=self.student,
            baseline=self.baseline,
        )


def tune(plan: Plan, make_runner: Callable[[Plan], Runner], *, say: Callable[[str], None]) -> Tuned:
    """Run every trial of the plan, and choose by validation, the first among equals.

    Args:
        plan: has trials.
        make_runner: makes the runner of a trial's plan.
        say: prints each trial and its validation scores.

    Raises:
        DistillError: a stage failed; the finished ones are kept.
    """
    say(f"tuning: {len(plan.trials)} trials ({list_values(plan.trials)})")
    trials = [_run(plan, at, make_runner, say=say) for at in range(len(plan.trials))]
    student = _best([trial.student for trial in trials])
    alone = [trial.baseline for trial in trials if trial.baseline is not None]
    baseline = _best(alone) if alone else None
    records = tuple(trial.record() for trial in trials)
    return Tuned(
        plan=_settled(plan, trials[student], None if baseline is None else trials[baseline]),
        result=TuningResult(trials=records, student=student, baseline=baseline),
        trained=frozenset(
            trial.outcome.artifacts[name].key for trial in trials for name in trial.outcome.trained
        ),
    )


def _run(
    plan: Plan, at: int, make_runner: Callable[[Plan], Runner], *, say: Callable[[str], None]
) -> _Trial:
    """Run the trial at this position, and print its validation scores."""
    settings = plan.trials[at]
    title = f"trial {at + 1} of {len(plan.trials)}, {name_trial(settings)}"
    say(f"── {title}")
    runner = make_runner(plan_trial(plan, settings))
    outcome, score = runner.run(), runner.parts.logits.validation_score
    student, alone = score(plan.deployed), None
    scores = f"{plan.method} {100 * student:.2f}"
    if plan.baseline is not None:
        alone = score(plan.baseline)
        scores += f", no teacher {100 * alone:.2f}"
    say(f"{title}: on validation {scores}")
    return _Trial(settings, outcome, student, alone)


def _best(scores: Sequence[float]) -> int:
    """Return the position of the highest score, the first among equals."""
    return max(range(len(scores)), key=scores.__getitem__)


def _settled(plan: Plan, student: _Trial, baseline: _Trial | None) -> Plan:
    """Return the plan with both stages as these trials trained them.

    Such a baseline is compared with no stage, so its steps are not matched once more.
    """
    kept: dict[str, Stage] = {plan.deployed: student.outcome.plan.stage(plan.deployed)}
    if baseline is not None and plan.baseline is not None:
        kept[plan.baseline] = baseline.outcome.plan.stage(plan.baseline)
    return replace(plan, stages=tuple(kept.get(stage.name, stage) for stage in plan.stages))
