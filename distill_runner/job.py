"""One job: from a composed configuration to a run folder, whatever happens on the way."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from distill_runner.config import raw_method, typed
from distill_runner.errors import DistillError, HubUnreachable, Refused, of_the_system
from distill_runner.explain import explain
from distill_runner.hub import is_classifier, locate_model
from distill_runner.methods.construct import make_algorithm
from distill_runner.output_folder import OutputFolder, check_store_apart
from distill_runner.overrides import typed_groups, typed_keys
from distill_runner.plan import TASK, Plan
from distill_runner.planning import make_plan
from distill_runner.reading import formula_on
from distill_runner.report.at_chance import at_chance, warnings
from distill_runner.report.columns import (
    columns_of,
    figure,
    gain_or_difference,
    judged_by,
    learnt_from,
    notes,
    shown,
)
from distill_runner.report.latency import latency_line, latency_table
from distill_runner.report.planned import classes_line, plan_notes, plan_rows, same_starts
from distill_runner.report.robustness import robustness_table
from distill_runner.report.tables import gain_line, plan_table, result_table
from distill_runner.robustness import STUDENT
from distill_runner.rules import check_test_rows
from distill_runner.schema import Config, Select
from distill_runner.screen import Screen, quiet_libraries
from distill_runner.store import plain, write_json
from distill_runner.unread import check_all_read, unused_choices

if TYPE_CHECKING:
    from distill_runner.data.prepared import Prepared


def run_job(
    config: DictConfig,
    *,
    untyped: Callable[[], DictConfig],
    shared: Collection[str] = (),
    choices: Mapping[str, str],
    overrides: Sequence[str],
    folder: str,
    sweeping: bool,
) -> None:
    """Run one job; its folder holds a `result.json` where it finished, else what was there before.

    Args:
        config: as Hydra composed it.
        untyped: composes the same from the typed groups alone, without the typed keys.
        shared: typed keys that hold for all the jobs of a sweep.
        choices: the option chosen in each group.
        overrides: what was typed.
        folder: of this job.
        sweeping: one of several jobs: its failure must not stop the others.

    Raises:
        DistillError: the job failed, and it is the only one.
    """
    with OutputFolder.claimed(Path(folder)) as output:
        screen = Screen(output.path)
        output.attempted("started", overrides)
        try:
            if sweeping:
                screen.print(f"\n── {output.path.name}: {' '.join(overrides)}")
            job = _Job(
                config,
                untyped=untyped,
                shared=shared,
                choices=choices,
                overrides=overrides,
                output=output,
                screen=screen,
                sweeping=sweeping,
            )
            output.attempted(job.run(), overrides)
        except OmegaConfBaseException as raised:
            _leave(output, screen, explain(raised, overrides), overrides, sweeping=sweeping)
        except Exception as raised:
            _leave(output, screen, _explained(raised, screen), overrides, sweeping=sweeping)
        finally:
            screen.close()


def _leave(
    output: OutputFolder,
    screen: Screen,
    error: DistillError,
    overrides: Sequence[str],
    *,
    sweeping: bool,
) -> None:
    """Leave word of what went wrong, and go on with the sweep if there is one."""
    status = "refused" if isinstance(error, Refused) else "failed"
    output.attempted(status, overrides, error=str(error))
    if not sweeping:
        raise error
    screen.print(f"{status}: {error}")


def _explained(raised: Exception, screen: Screen) -> DistillError:
    """The failure as one that says what to do; a fault of ours leaves its traceback in the log."""
    if isinstance(raised, DistillError):
        return raised
    if type(raised).__name__ == "OutOfMemoryError":
        return DistillError(
            "The GPU's memory is full.\n"
            "  try:  a smaller training.batch_size, or training.accumulate=2 where the method "
            "allows it"
        )
    if isinstance(raised, OSError):
        return of_the_system(raised)
    screen.note(*traceback.format_exception(raised))
    return DistillError(
        f"{type(raised).__name__}: {raised}\n"
        "  this is a fault of distill-run's own; the traceback is in log.txt of the run folder"
    )


class _Job:
    def __init__(
        self,
        config: DictConfig,
        *,
        untyped: Callable[[], DictConfig],
        shared: Collection[str],
        choices: Mapping[str, str],
        overrides: Sequence[str],
        output: OutputFolder,
        screen: Screen,
        sweeping: bool,
    ) -> None:
        self._sweeping = sweeping
        self._composed = config
        self._untyped = untyped
        self._shared = shared
        self._choices = choices
        self._overrides = list(overrides)
        self._output = output
        self._folder = output.path
        self._screen = screen

    def run(self) -> str:
        """Make the plan and, unless it is all that was asked for, carry it out; the status."""
        config = typed(self._composed)
        check_store_apart(Path(config.store.dir), self._folder)
        plan = make_plan(
            config,
            method=self._choices["method"],
            raw_method=raw_method(self._composed),
            make_algorithm=make_algorithm,
            is_classifier=lambda model, key: _is_classifier(model, key, config),
        )
        self._check_typed(config, plan)
        if config.dry_run:
            self._show(plan, config, None)
            return "planned"
        unfinished = self._output.unfinished
        (unfinished / "config.yaml").write_text(
            OmegaConf.to_yaml(self._composed, resolve=True), encoding="utf-8"
        )
        write_json(unfinished / "plan.json", {"method": plan.method, "stages": plain(plan.stages)})
        self._run(config, plan)
        return "finished"

    def _check_typed(self, config: Config, plan: Plan) -> None:
        """Refuse what was typed and is not read; say what a group or another job may do with."""
        taken = {stage.learner.id for stage in plan.stages if stage.learner.taken}
        said = check_all_read(
            self._composed,
            config,
            self._untyped,
            typed_keys(self._overrides),
            plan=plan,
            make_plan=lambda composed, settings: make_plan(
                settings,
                method=plan.method,
                raw_method=raw_method(composed),
                make_algorithm=make_algorithm,
                is_classifier=lambda model, _: model in taken,
            ),
            shared=self._shared,
        )
        unused = unused_choices(config, plan, self._choices, typed_groups(self._overrides))
        for line in (*([unused] if unused else []), *said):
            self._screen.print(line)

    def _run(self, config: Config, plan: Plan) -> None:
        from distill_runner.answers import Answers
        from distill_runner.helpers import count_of, helpers
        from distill_runner.inputs import given_data, read_data
        from distill_runner.machine import resolve_machine
        from distill_runner.results import Results
        from distill_runner.run import Runner
        from distill_runner.run_folder import write_run_folder

        machine = resolve_machine(config.runtime)
        quiet_libraries()
        data, given = read_data(config, plan, say=self._screen.print), given_data(config, plan)
        check_test_rows(config, data[TASK].counts["test"])
        self._show(plan, config, data)
        tracker = self._tracker(config, plan)
        failed = True
        summary: dict[str, Any] = {}
        try:
            runner = Runner(
                config, plan, data, machine=machine, screen=self._screen, tracker=tracker
            )
            count = count_of(config, machine, runner.missing)
            if count:
                self._screen.print(f"{1 + count} processes train stages side by side")
            with helpers(config, plan, count=count):
                outcome = runner.run(helped=count > 0)
            answers = Answers(outcome.plan, data[TASK], outcome.casting, say=self._screen.print)
            results = Results(config, data, outcome, answers, machine=machine)
            result = results.result(overrides=self._overrides, given=given)
            write_run_folder(self._output.unfinished, config, data[TASK], outcome, answers, result)
            self._output.publish()
            summary = _summary(result)
            failed = False
        finally:
            tracker.finish(summary, failed=failed)
        self._report(result, tracker.note)

    def _show(self, plan: Plan, config: Config, data: Mapping[str, Prepared] | None) -> None:
        # A sweep's jobs differ in little; their plans are in their logs.
        counts = {name: prepared.counts for name, prepared in (data or {}).items()}
        show = self._screen.note if self._sweeping and not config.dry_run else self._screen.print
        show(plan_table(plan_rows(plan, config, counts or None)))
        show(
            "k passes: thousands of rows through a model, a backward counting two; "
            "s = learner, t = each teacher"
        )
        for note in plan_notes(plan, config, counts or None):
            show(note)
        for name, rows in counts.items():
            of = "rows" if name == TASK else f"{name} rows"
            show(f"{of}: " + ", ".join(f"{k} {v:,}" for k, v in rows.items() if v))
        for name, prepared in (data or {}).items():
            show(classes_line(prepared.label_names, of="" if name == TASK else f" of {name}"))
        if config.training.select is Select.best_validation:
            show("kept: the epoch that is best on validation, which is then no longer a result")
        for stage in plan.stages:
            if stage.body and stage.algorithm.needs.language:
                show(f"loss of {stage.name}: {stage.algorithm.formula()}")
        for warning in same_starts(plan):
            self._screen.print(warning)
        # What is deployed is always trained on the task's rows in the end.
        show(f"loss: {formula_on(config.dataset, plan.stage(plan.deployed).algorithm)}")

    def _tracker(self, config: Config, plan: Plan) -> Any:
        from distill_runner.tracking import RunCard, open_tracker

        resolved = OmegaConf.to_container(self._composed, resolve=True, enum_to_str=True)
        chosen = {group: o for group, o in self._choices.items() if "hydra" not in group}
        asked = " ".join(self._overrides) or plan.method
        card = RunCard(
            name=asked[:120],
            group=config.tracker.group or f"{plan.method}-{config.dataset.name}",
            job_type=plan.method,
            tags=(*config.tracker.tags, config.profile, config.dataset.name),
            config={**dict(resolved), "choices": chosen},  # type: ignore[arg-type]
        )
        return open_tracker(config.tracker, folder=self._folder, card=card)

    def _report(self, result: Mapping[str, Any], note: str | None) -> None:
        (self._screen.note if self._sweeping else self._screen.print)(result_table(result))
        line = gain_line(result)
        told_of_gain = [line] if line else []
        for told in (*warnings(result), *told_of_gain, *notes(result), *_stopped(result)):
            self._screen.print(told)
        under_noise = robustness_table(result)
        if under_noise:
            self._screen.print(under_noise)
        speed, saved = latency_table(result), latency_line(result)
        for measured in (speed, saved):
            if measured is not None:
                self._screen.print(measured)
        published = result["published"]
        if published:
            learnt = learnt_from(result)
            self._screen.print(
                f"Published: {published['accuracy']:g} on {published['rows']:,} "
                f"{published['split']} rows of {published['dataset']} ({published['source']}); "
                f"other rows and other training than ours{f'; {learnt}' if learnt else ''}."
            )
        inside = self._folder.is_relative_to(Path.cwd())
        folder = self._folder.relative_to(Path.cwd()) if inside else self._folder
        self._screen.print(f"Run folder: {folder}")
        if not self._sweeping:
            self._screen.print(
                "Load it: AutoModelForSequenceClassification.from_pretrained"
                f'("{folder}/student{"/…" if result["student"]["members"] else ""}")'
            )
        if note:
            self._screen.print(note)


def _stopped(result: Mapping[str, Any]) -> list[str]:
    stopped = result["stopped"]
    if not stopped:
        return []
    scores = ", ".join(
        f"{name} {shown({'validation': found}, ('validation', judged_by(result)))}"
        for name, found in stopped["validation"].items()
    )
    return [f"Kept by validation: {stopped['kept']} ({scores}); validation is no result here."]


def _is_classifier(model: str, key: str, config: Config) -> bool:
    """Whether a model's config says that it is a trained text classifier."""
    directory = config.paths.models
    try:
        folder = locate_model(
            model,
            models_dir=Path(directory) if directory else None,
            key=key,
            config_only=True,
            fetch_missing=not config.dry_run,
        )
    except HubUnreachable:
        # A plan may be looked at without a network; the run itself will refuse.
        if config.dry_run:
            return False
        raise
    return is_classifier(folder)


def _summary(result: Mapping[str, Any]) -> dict[str, float | str]:
    summary: dict[str, float | str] = {"status": result["status"]}
    headline = result["headline"]
    for split, found in result["metrics"].items():
        if found:
            summary[f"{split}/{headline}"] = found[headline]
    for split, metric in columns_of([result]).values():
        value = figure(result["metrics"], (split, metric))
        if value is not None:
            summary[f"{split}/{metric}"] = value / 100
    baseline = result["baseline"]
    summary["student/no_better_than_chance"] = float(at_chance(result["student"]))
    if baseline:
        summary["baseline/no_better_than_chance"] = float(at_chance(baseline))
        for split, gain in baseline["gain"].items():
            summary[f"baseline/{split}/{headline}"] = baseline["metrics"][split][headline]
            summary[f"{gain_or_difference([result])}/{split}/{headline}"] = gain[headline]
    for score in result["robustness"]["scores"] if result["robustness"] else ():
        accuracy = score["accuracy"][STUDENT]
        summary[f"robustness/{score['noise']}-{score['p']:g}/accuracy"] = accuracy
    for name, model in result["latency"]["models"].items() if result["latency"] else ():
        summary[f"latency/{name}/milliseconds"] = model["milliseconds"]
    summary["student/parameters"] = result["student"]["parameters"]
    summary["training/examples_per_second"] = result["training"]["examples_per_second"]
    return summary
