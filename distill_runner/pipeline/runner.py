"""The recipe: for each stage of the plan, find its artifact or train it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill_runner.config.schema import Config, NearChance, Select
from distill_runner.console.names import counted, short_name, stage_name
from distill_runner.console.progress import Bar
from distill_runner.console.screen import Screen
from distill_runner.console.time_left import Left, Remaining, duration
from distill_runner.errors import HubUnreachable, Refused
from distill_runner.methods.base import NothingToLearn
from distill_runner.models import loading
from distill_runner.models.learner import Learner
from distill_runner.models.teachers import LiveTeachers, TeacherSource
from distill_runner.models.vocabulary import cut_to
from distill_runner.pipeline.chains import Course
from distill_runner.pipeline.learner_factory import Casting
from distill_runner.pipeline.stage_costs import costs_of, rows_of
from distill_runner.pipeline.task_data import Reading
from distill_runner.planning.ranges import teacher_on
from distill_runner.planning.stages import PRETRAIN, TASK, Plan, Stage, steps_of
from distill_runner.results.scores import Score
from distill_runner.results.typed_json import to_json
from distill_runner.runtime.machine import Machine, cores, versions
from distill_runner.runtime.provenance import surroundings
from distill_runner.storage.integrity import Damaged, sweep
from distill_runner.storage.store import Artifact, Store, key_of, plain
from distill_runner.tracking.curves import OnPoint, as_named, latest_loss, read_points
from distill_runner.tracking.trackers import Tracker
from distill_runner.training import loop

if TYPE_CHECKING:
    from distill_runner.data.load import Prepared

# Raise it when a change of the code changes what a stage's settings lead to.
_RECIPE = 5

_UNKNOWN_TOLD, _UNKNOWN_REFUSED = 0.05, 0.5  # shares of the words
_LOOK_AGAIN = 0.2  # seconds, where every stage that is ready is in training


@dataclass(frozen=True)
class Outcome:
    """The artifacts of a plan's stages, by the stage's name, and which this run has trained.

    `plan` has the stages that took place: repetitions may end early, and not the last one be
    deployed.

    Args:
        broken_off: why a repetition could not take place, by its name: the chain ended before it.
    """

    plan: Plan
    artifacts: Mapping[str, Artifact]
    trained: tuple[str, ...]
    casting: Casting
    broken_off: Mapping[str, str]


class Runner:
    """Runs the stages of one plan over one set of data."""

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
        self._config = config
        self._plan = plan
        self._machine = machine
        self._screen = screen
        self._tracker = tracker
        self._store = Store(Path(config.store.dir), say=screen.print)
        sweep(self._store.folder)
        settings = {TASK: config.dataset, PRETRAIN: config.pretrain.dataset or config.dataset}
        self._readings = {
            name: Reading(prepared, settings[name], self._store.folder, say=screen.print)
            for name, prepared in data.items()
        }
        self._artifacts: dict[str, Artifact] = {}
        self._keys: dict[str, str] = {}
        self._made: set[str] = set()  # the stages that this process has trained
        self._settled: dict[str, Stage] = {}
        self._found: set[str] = set()  # names of the stages that were done when they were settled
        self._steps_before = 0
        self._remaining = Remaining({})  # of a run; of a stage alone nothing is behind it
        self._helped = False
        self._waited_for: set[str] = set()
        surroundings()  # known by now, whatever happens to the files while stages train
        self._casting = Casting(
            config,
            plan,
            self._readings,
            store=self._store,
            machine=machine,
            artifacts=self._artifacts,
            whole=self._whole,
            say=screen.print,
        )
        self._course = Course(
            plan,
            self._readings,
            self._casting,
            artifacts=self._artifacts,
            wish=config.evaluation.baseline_steps,
            say=screen.print,
        )

    @cached_property
    def missing(self) -> tuple[Stage, ...]:
        """The stages that had to be trained when this was first asked.

        A baseline that is not settled yet is among them.

        Raises:
            Refused: a model or a stage's rows cannot serve the plan.
        """
        stages = [self._settle(stage) or stage for stage in self._plan.stages]
        for stage in stages:
            # All models are found before the first is trained: a mistyped one is known at once.
            self.key_of(stage)
            self._readings[stage.data].check(stage)
        missing = tuple(stage for stage in stages if stage.name not in self._found)
        for stage in missing:
            self._check_words(stage)
        return missing

    def _check_words(self, stage: Stage) -> None:
        """Tell where a learner reads many words as unknown ones.

        Raises:
            Refused: it knows hardly any.
        """
        share, name = self._casting.unknown_share(stage), stage.name.removeprefix("teacher/")
        told = f"{name}: {100 * share:.1f}% of the words it trains on are unknown to its tokenizer"
        if share >= _UNKNOWN_REFUSED:
            raise Refused(
                f"{told}.",
                key=stage.learner.asked,
                value=stage.learner.id,
                rule="a tokenizer that knows the words of the training text",
                way_out="a model of the text's language, with the tokenizer that belongs to it",
            )
        if share >= _UNKNOWN_TOLD:
            self._screen.print(f"  {told}")

    @property
    def found(self) -> tuple[str, ...]:
        """Names of the stages that were done when `missing` was first asked."""
        return tuple(stage.name for stage in self._plan.stages if stage.name in self._found)

    def track(self, tracker: Tracker) -> None:
        """Send the curves there from here on."""
        self._tracker = tracker

    def without_hub(self) -> list[HubUnreachable]:
        """What `missing` does, and what it could not because the hub does not answer.

        Raises:
            Refused: of what can be checked, something cannot serve the plan.
        """
        missed: list[HubUnreachable] = []
        for stage in self._plan.stages:
            self._readings[stage.data].check(stage)
            try:
                if all(name in self._keys for name in stage.needs_stages):
                    settled = self._settle(stage) or stage
                    self.key_of(settled)
                    if stage.name not in self._found:
                        self._check_words(settled)
                else:
                    self._casting.model_key(stage)
            except HubUnreachable as unreachable:
                missed.append(unreachable)
        return missed

    def run(self, *, helped: bool = False) -> Outcome:
        """Make every artifact that is missing, in order, but for those that others are making.

        Args:
            helped: other processes of this run do so.

        Raises:
            DistillError: a stage failed; the finished ones are kept.
        """
        missing, left = self.missing, list(self._plan.stages)
        costs = costs_of(missing, self._plan, self._readings, self._casting)
        at_once = min(self._config.runtime.processes, cores()) if helped else 1
        self._remaining, self._helped = Remaining(costs, at_once=at_once), helped
        while left:
            stage = self._next(left)
            if stage is None:
                self._wait(left)
                continue
            left = [other for other in left if other.name != stage.name]
            self._take_or_end(stage)
            self._course.go_on_after(stage)
            left = [other for other in left if other.name not in self._course.left_out]
            for name in self._course.left_out:
                self._remaining.end(name)
        ended = self._course.ended(self._settled)
        for name in ended.members or (ended.deployed,):
            if name in self._artifacts:
                self._whole(name)  # as it is delivered
        by_helpers = {stage.name for stage in missing if helped} - self._found
        trained = tuple(
            stage.name
            for stage in self._plan.stages
            if stage.name in self._made
            or (stage.name in by_helpers and stage.name in self._artifacts)
        )
        # In the plan's order, whoever made them first.
        made = {
            stage.name: self._artifacts[stage.name]
            for stage in self._plan.stages
            if stage.name in self._artifacts
        }
        return Outcome(ended, made, trained, self._casting, self._course.broken_off)

    def _next(self, left: Sequence[Stage]) -> Stage | None:
        """The first stage whose needs are met and that nobody else trains."""
        for planned in left:
            stage = self._settle(planned)
            if stage is None or any(name not in self._artifacts for name in stage.needs_stages):
                continue
            if self._done(stage) or self._store.is_free(self.key_of(stage)):
                return stage
        return None

    def _wait(self, left: Sequence[Stage]) -> None:
        """Until a stage can be taken; shows how far the first one in training elsewhere is."""
        stage = next(one for planned in left if (one := self._settle(planned)))
        total = steps_of(stage.training, rows_of(stage, self._readings[stage.data]))
        curves = self._store.unfinished(self.key_of(stage)) / "metrics.jsonl"
        made = latest_loss(curves) or (0, 0.0)
        if not self._helped and stage.name not in self._waited_for:
            self._waited_for.add(stage.name)
            self._tell_of_waiting(stage)
        with self._bar(stage, total=total, start=made[0]) as bar:
            while self._next(left) is None:
                time.sleep(_LOOK_AGAIN)
                now = latest_loss(curves) or made
                if now != made:
                    bar.show(now[0], {"loss": now[1]})

    def _tell_of_waiting(self, stage: Stage) -> None:
        self._screen.print(f"  {stage_name(stage.name)}: another process trains it; waiting for it")

    def _settle(self, planned: Stage) -> Stage | None:
        """The stage as it is trained; None for a baseline while that is open."""
        if planned.name not in self._settled:
            stage = self._course.baseline(planned) if planned.like else planned
            if stage is None:
                return None
            self._settled[planned.name] = stage
            self._keys.pop(stage.name, None)  # of the stage while it was open
            if self._done(stage):
                self._found.add(stage.name)
        return self._settled[planned.name]

    def _take_or_end(self, stage: Stage) -> None:
        """As `_take`; a repetition that has nothing to learn from ends its chain instead.

        Raises:
            NothingToLearn: there is none before it.
        """
        try:
            self._take(stage)
        except NothingToLearn as nothing:
            self._course.end_before(stage, nothing)

    def _take(self, stage: Stage) -> None:
        """Find the stage's artifact, or make it."""
        key = self.key_of(stage)
        made = None if self._done(stage) else self._train(stage, key)
        self._artifacts[stage.name] = made or self._store.artifact(key)
        self._remaining.end(stage.name)
        self._screen.print(f"✓ {stage_name(stage.name)}: {self._how(stage)}")
        if made is None:
            self._replay(stage)
        if stage.name in self._plan.all_teachers:
            self._show_teacher(stage)

    def _how(self, stage: Stage) -> str:
        """How a finished stage came about."""
        if stage.name in self._found and stage.name not in self._made:
            return f"found in the store ({self.key_of(stage)})"
        if not stage.training.epochs:
            return "as it is" if stage.learner.taken else "at its start"
        training = self._artifacts[stage.name].facts()["training"]
        took = f"{counted(training['steps'], 'step')} in {duration(training['wall_seconds'])}"
        others = stage.name not in self._made and not self._helped
        return f"trained by another distill-run, {took}" if others else f"trained, {took}"

    def _replay(self, stage: Stage) -> None:
        """Give the tracker the curves of a stage that was trained before this run."""
        if stage.name not in self._plan.all_teachers or stage.name not in self._found:
            on_point = self._on_point(stage)
            for step, values in points_of(self._artifacts[stage.name], stage):
                on_point(step, values)
        training = self._artifacts[stage.name].facts()["training"]
        self._steps_before += int(training["steps"])

    def _on_point(self, stage: Stage) -> OnPoint:
        """Sends a stage's points to the tracker, each stage's steps behind the last one's."""
        offset = self._steps_before

        def on_point(step: int, values: Mapping[str, float]) -> None:
            named = {f"{stage.name}/{name}": value for name, value in values.items()}
            self._tracker.log(named, step=offset + step)

        return on_point

    def key_of(self, stage: Stage) -> str:
        """The hash of everything that decides the stage's weights and scores."""
        if stage.name not in self._keys:
            reading, decided = self._readings[stage.data], plain(stage)
            # Names do not decide: a method's baseline is another's fine-tuning.
            names = ("name", "start", "layers_from", "body", "teachers", "learner", "data", "like")
            for name in names:
                del decided[name]
            algorithm = type(stage.algorithm)
            selected = stage.training.select is Select.best_validation
            on_cpu = self._machine.device.type == "cpu"
            self._keys[stage.name] = key_of(
                {
                    "recipe": _RECIPE,
                    "stage": decided,
                    "algorithm": f"{algorithm.__module__}.{algorithm.__qualname__}",
                    "model": self._casting.model_key(stage),
                    "data": reading.fingerprints(stage),
                    "classes": reading.data.label_names,
                    "max_tokens": reading.max_tokens,
                    "upstream": [self._keys[name] for name in stage.needs_stages],
                    "device": self._machine.device.type,
                    "precision": self._machine.precision,
                    "first_token_only": self._config.runtime.first_token_only,
                    "cut_vocabulary": self._config.runtime.cut_vocabulary,
                    "leave_padding_out": on_cpu and self._config.runtime.leave_padding_out,
                    "cheap_dropout": on_cpu and self._config.runtime.cheap_dropout,
                    **({"deterministic": True} if self._machine.deterministic else {}),
                    **({"compile": True} if self._config.runtime.compile else {}),
                    **({"selected_by": reading.task.selection_metric.value} if selected else {}),
                }
            )
        return self._keys[stage.name]

    def _done(self, stage: Stage, *, hashed: bool = False) -> bool:
        """Whether the stage's artifact can be used as it is; `hashed`: every file is read."""
        # Teachers are shared with other runs; a forced run repeats what is its own, once.
        forced = self._config.force and stage.name not in self._plan.all_teachers
        if forced and stage.name not in self._made:
            return False
        return self._store.has(self.key_of(stage), hashed=hashed)

    def _whole(self, name: str) -> Artifact:
        """The artifact of a finished stage, every file of it read; made again if one is damaged."""
        stage = self._settled.get(name) or self._plan.stage(name)
        if not self._done(stage, hashed=True):
            self._train(stage, self.key_of(stage))
        return self._artifacts[name]

    # --- one stage -----------------------------------------------------------------------

    def _train(self, stage: Stage, key: str) -> Artifact | None:
        """The stage's artifact, made now; None where another process made it meanwhile."""

        def waiting() -> None:
            self._tell_of_waiting(stage)

        with self._store.claim(key, waiting=waiting) as unfinished:
            if self._done(stage, hashed=True):
                return None
            self._store.set_damage_aside(key)
            try:
                return self._make(stage, key, unfinished)
            except Damaged as found:
                if not found.path.is_relative_to(unfinished):
                    raise
                self._store.begin_again(unfinished, f"{found.path.name}: {found.why}")
            return self._make(stage, key, unfinished)

    def _make(self, stage: Stage, key: str, unfinished: Path) -> Artifact:
        """Train the stage to its end, from where `unfinished` stands.

        Raises:
            Damaged: what lies there is not what was written.
        """
        learner = self._casting.learner(stage)
        teachers = self._casting.teachers(stage)
        finished = self._loop(stage, learner, teachers, unfinished)
        reading = self._readings[stage.data]
        shutil.rmtree(unfinished / "model", ignore_errors=True)  # a killed run's, half written
        loading.save(learner, unfinished / "model", classes=reading.data.label_names)
        logits = {
            split: self._casting.predict(learner, stage, split) for split in reading.scored(stage)
        }
        scores = {split: reading.score(found, split) for split, found in logits.items()}
        facts = self._facts(stage, key, learner, finished, scores)
        artifact = self._store.finish(key, unfinished, facts)
        self._made.add(stage.name)
        for split, found in logits.items():
            self._casting.keep_signals(artifact, stage, split, found)
        return artifact

    def _loop(
        self, stage: Stage, learner: Learner, teachers: TeacherSource, unfinished: Path
    ) -> loop.Finished:
        with self.loop_of(stage, learner, teachers, folder=unfinished) as training:
            done = training.progress.step
            if done:
                self._screen.print(f"  {stage.name}: goes on after step {done}")
            with self._bar(stage, total=training.total, start=done) as bar:
                finished = training.run(bar)
        self._remaining.end(stage.name, made=(training.total - done) / max(training.total, 1))
        self._steps_before += finished.steps
        return finished

    @contextmanager
    def _bar(self, stage: Stage, *, total: int, start: int) -> Iterator[Bar]:
        """Shows how far the stage is, and how long it and the run will still take."""
        self._remaining.begin(stage.name)

        def left(step: int) -> Left | None:
            return self._remaining.left(stage.name, step=step, start=start, total=total)

        name = stage_name(stage.name)
        with self._screen.bar(name, total=total, start=start, left=left) as bar:
            yield bar

    @contextmanager
    def loop_of(
        self, stage: Stage, learner: Learner, teachers: TeacherSource, *, folder: Path
    ) -> Iterator[loop.Loop]:
        """The loop of a stage at its beginning or its checkpoint, the learners ready to train.

        Args:
            stage: its teachers' stages are done.
            learner: at its start.
            teachers: as signals.
            folder: of checkpoint and curves.
        """
        trained = _trained_teachers(stage, teachers)
        rows = self._readings[stage.data].training_rows(stage, learner, teachers)
        if rows.counts:
            counts = ", ".join(f"{name} {count:,}" for name, count in rows.counts.items())
            steps = steps_of(stage.training, len(rows.ids))
            self._screen.print(f"  {stage.name}: {counts}; {steps:,} steps")
        folder.mkdir(parents=True, exist_ok=True)
        with self._vocabularies_cut(stage, [learner, *trained]):
            yield loop.Loop(
                loop.Job(
                    algorithm=stage.algorithm,
                    task=self._readings[stage.data].task,
                    student=learner,
                    teachers=teachers,
                    roles={"student": [learner], **({"teacher": trained} if trained else {})},
                    rows=rows,
                    training=stage.training,
                    seed=stage.seed,
                    first_epoch=stage.first_epoch,
                    device=self._machine.device,
                    bf16=self._machine.bf16,
                    folder=folder,
                    checkpoint_seconds=self._config.runtime.checkpoint_seconds,
                    log_every=self._config.tracker.every,
                    validate=lambda _: self._validate(stage, learner, trained),
                    on_point=self._on_point(stage),
                    selected_by=self._readings[stage.data].task.selection_metric.value,
                )
            )

    @contextmanager
    def _vocabularies_cut(self, stage: Stage, learners: Sequence[Learner]) -> Iterator[None]:
        """Inside, the learners that train have the words alone that the stage reads."""
        with ExitStack() as cut:
            for learner in learners:
                ids = self._readings[stage.data].vocabulary(stage, learner)
                if self._config.runtime.cut_vocabulary and ids is not None:
                    cut.enter_context(cut_to(learner, ids))
            yield

    def _validate(
        self, stage: Stage, learner: Learner, teachers: list[Learner]
    ) -> dict[str, float]:
        reading = self._readings[stage.data]
        if "validation" not in reading.scored(stage):
            return {}

        def score(model: Learner) -> Score:
            logits = self._casting.predict(model, stage, "validation")
            return reading.score(logits, "validation")

        found, main = score(learner), reading.task.selection_metric.value
        of_teachers = {
            f"teacher_{found.primary_metric}/{model.name}": score(model).value for model in teachers
        }
        return {found.primary_metric: found.value, main: found[main], **of_teachers}

    def _facts(
        self,
        stage: Stage,
        key: str,
        learner: Learner,
        finished: loop.Finished,
        scores: Mapping[str, Score],
    ) -> dict[str, Any]:
        return {
            "key": key,
            "stage": plain(stage),
            "formula": stage.algorithm.formula(self._readings[stage.data].task),
            "parameters": learner.parameters,
            "training": {
                **{k: v for k, v in asdict(finished).items() if k != "history"},
                "device": self._machine.device.type,
                "machine": self._machine.name,
                "precision": self._machine.precision,
            },
            "history": finished.history,
            "metrics": {split: to_json(score) for split, score in scores.items()},
            "data": self._readings[stage.data].fingerprints(stage),
            "versions": versions(),
            "provenance": surroundings(),
        }

    # --- teachers ------------------------------------------------------------------------

    def _show_teacher(self, stage: Stage) -> None:
        """Print the teacher's score before a student step is taken.

        Raises:
            Refused: it is no better than chance, and that was not allowed.
        """
        name, reading = short_name(stage.name), self._readings[stage.data]
        if not reading.has("validation"):
            self._screen.print(f"  {name}: no validation rows to score it on")
            return
        signals = self._casting.signals(stage.name, "validation")
        answers = signals.of(reading.ids("validation"))
        found = reading.score(answers, "validation")
        chance = reading.task.chance_level(found, answers, reading.data.splits["validation"])
        seen = "; may have seen the test rows" if self._casting.from_classifier(stage) else ""
        scored = f"validation {found.primary_metric} {100 * found.value:.1f}"
        self._screen.print(f"  {name}: {scored} {chance.beside}{seen}")
        teacher = teacher_on(self._config, stage.data)
        if chance.reached and teacher.near_chance is NearChance.refuse:
            prefix = "" if teacher is self._config.teacher else f"{PRETRAIN}."
            raise Refused(
                f"The teacher {name} is not better than chance: {chance.evidence}.",
                key=f"{prefix}teacher.near_chance",
                value="refuse",
                rule="a teacher must know more than the largest class, than a ranking by lot, "
                "or than one score for all",
                way_out=f"{_more_training(stage, f'{prefix}teacher')}, another teacher, "
                f"or {prefix}teacher.near_chance=allow",
            )


def points_of(artifact: Artifact, stage: Stage) -> Iterator[tuple[int, dict[str, float]]]:
    """The points of a finished stage's curves, its teachers called as the plan does."""
    names = dict(zip(artifact.facts()["stage"]["teachers"], stage.teachers, strict=True))
    for step, values in read_points(artifact.curves):
        yield step, as_named(values, names)


def _more_training(teacher: Stage, key: str) -> str:
    """What to type for a teacher that knows too little."""
    if teacher.learner.taken:
        return f"{key}.finetune=always"
    limit = teacher.training.max_steps
    if limit is not None:
        return f"a larger {key}.training.max_steps than {limit} (null: no limit)"
    return f"more {key}.training.epochs"


def _trained_teachers(stage: Stage, teachers: TeacherSource) -> list[Learner]:
    if not isinstance(teachers, LiveTeachers):
        return []
    trained = stage.algorithm.trained_teachers(len(teachers.learners))
    return [teachers.learners[at] for at in trained]
