"""The recipe: for each stage of the plan, find its artifact or train it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill_runner import evaluation, loop
from distill_runner.casting import Casting
from distill_runner.curves import OnPoint, read_points
from distill_runner.errors import Refused
from distill_runner.machine import Machine, versions
from distill_runner.models import loading
from distill_runner.models.learner import Learner
from distill_runner.models.teachers import LiveTeachers, TeacherSource
from distill_runner.models.vocabulary import cut_to
from distill_runner.plan import Plan, Stage
from distill_runner.reading import Reading
from distill_runner.rules import RANKING
from distill_runner.schema import Config, Metric, NearChance, Select
from distill_runner.screen import Screen
from distill_runner.store import Artifact, Store, key_of, plain
from distill_runner.tracking import Tracker

if TYPE_CHECKING:
    import numpy as np

    from distill_runner.data.prepared import Prepared

# Raise it when a change of the code changes what a stage's settings lead to.
_RECIPE = 3
# Splits on which every finished stage is scored, beside the extra ones.
SCORED = ("validation", "test")


def scored(config: Config) -> tuple[str, ...]:
    """The splits on which every finished stage is scored, where they have rows."""
    return (*SCORED, *config.dataset.extra)


@dataclass(frozen=True)
class Outcome:
    """The artifacts of a plan's stages, by the stage's name, and which were trained just now."""

    artifacts: Mapping[str, Artifact]
    trained: tuple[str, ...]
    casting: Casting


class Runner:
    """Runs the stages of one plan over one set of data."""

    def __init__(
        self,
        config: Config,
        plan: Plan,
        data: Prepared,
        *,
        machine: Machine,
        screen: Screen,
        tracker: Tracker,
    ) -> None:
        self._config = config
        self._plan = plan
        self._data = data
        self._machine = machine
        self._screen = screen
        self._tracker = tracker
        self._store = Store(Path(config.store.dir))
        self._reading = Reading(data, self._store.folder)
        self._artifacts: dict[str, Artifact] = {}
        self._keys: dict[str, str] = {}
        self._steps_before = 0
        self._casting = Casting(
            config,
            plan,
            data,
            reading=self._reading,
            store=self._store,
            machine=machine,
            artifacts=self._artifacts,
        )

    def run(self) -> Outcome:
        """Make every artifact that is missing, in order.

        Raises:
            DistillError: a stage failed; the finished ones are kept.
        """
        trained = []
        # All models are found before the first is trained: a mistyped student is known at once.
        keys = [self.key_of(stage) for stage in self._plan.stages]
        for stage in self._plan.stages:
            self._reading.check(stage)
        for stage, key in zip(self._plan.stages, keys, strict=True):
            made = None if self._done(stage, key) else self._train(stage, key)
            self._artifacts[stage.name] = made or self._store.artifact(key)
            if made:
                trained.append(stage.name)
            else:
                self._screen.print(f"✓ {stage.name}: found in the store ({key})")
                self._replay(stage)
            if stage.name in self._plan.teachers:
                self._show_teacher(stage)
        return Outcome(self._artifacts, tuple(trained), self._casting)

    def _replay(self, stage: Stage) -> None:
        """Give the tracker the curves of a stage that was trained before this run."""
        if stage.name not in self._plan.teachers:
            on_point = self._on_point(stage)
            for step, values in read_points(self._artifacts[stage.name].curves):
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
            decided = plain(stage)
            # Names do not decide: a method's baseline is another's fine-tuning.
            for name in ("name", "start", "layers_from", "teachers", "learner"):
                del decided[name]
            algorithm = type(stage.algorithm)
            self._keys[stage.name] = key_of(
                {
                    "recipe": _RECIPE,
                    "stage": decided,
                    "algorithm": f"{algorithm.__module__}.{algorithm.__qualname__}",
                    "model": self._casting.model_key(stage),
                    "data": self._data.fingerprints,
                    "classes": self._data.label_names,
                    "max_tokens": self._config.dataset.max_tokens,
                    "upstream": [self._keys[name] for name in stage.needs_stages],
                    "device": self._machine.device.type,
                    "precision": self._machine.precision,
                    "first_token_only": self._config.runtime.first_token_only,
                    "cut_vocabulary": self._config.runtime.cut_vocabulary,
                    "leave_padding_out": self._config.runtime.leave_padding_out,
                    "cheap_dropout": self._config.runtime.cheap_dropout,
                    **({"compile": True} if self._config.runtime.compile else {}),
                    **self._selection(stage),
                }
            )
        return self._keys[stage.name]

    def _selection(self, stage: Stage) -> dict[str, str]:
        """What chose the epoch, where it was chosen by anything but accuracy."""
        chosen = stage.training.select is Select.best_validation
        return (
            {"selected_by": self._main.value}
            if chosen and self._main is not Metric.accuracy
            else {}
        )

    @property
    def _main(self) -> Metric:
        return self._config.dataset.metrics[0]

    def _score(self, logits: np.ndarray, split: str) -> evaluation.Score:
        metrics = self._config.dataset.metrics
        return evaluation.score_rows(logits, self._data.splits[split], metrics)

    def _done(self, stage: Stage, key: str) -> bool:
        """Whether the stage's artifact can be used as it is."""
        # Teachers are shared with other runs; a forced run repeats what is its own.
        forced = self._config.force and stage.name not in self._plan.teachers
        return self._store.has(key) and not forced

    # --- one stage -----------------------------------------------------------------------

    def _train(self, stage: Stage, key: str) -> Artifact | None:
        """The stage's artifact, made now; None where another process made it meanwhile."""

        def waiting() -> None:
            self._screen.print(f"  {stage.name}: another process trains it; waiting for it")

        with self._store.claim(key, waiting=waiting) as unfinished:
            if self._done(stage, key):
                return None
            unfinished.mkdir(parents=True, exist_ok=True)
            learner = self._casting.learner(stage)
            teachers = self._casting.teachers(stage)
            finished = self._loop(stage, learner, teachers, unfinished)
            loading.save(learner, unfinished / "model", classes=self._data.label_names)
            logits = {
                split: self._casting.predict(learner, split)
                for split in scored(self._config)
                if self._reading.has(split)
            }
            scores = {split: self._score(found, split) for split, found in logits.items()}
            facts = self._facts(stage, key, learner, finished, scores)
            artifact = self._store.finish(key, unfinished, facts)
            for split, found in logits.items():
                self._casting.keep_signals(artifact, split, found)
            return artifact

    def _loop(
        self, stage: Stage, learner: Learner, teachers: TeacherSource, unfinished: Path
    ) -> loop.Finished:
        with self.loop_of(stage, learner, teachers, folder=unfinished) as training:
            done = training.progress.step
            if done:
                self._screen.print(f"  {stage.name}: goes on after step {done}")
            with self._screen.bar(stage.name, total=training.total, start=done) as bar:
                finished = training.run(bar)
        self._steps_before += finished.steps
        return finished

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
        rows = self._reading.training_rows(stage, learner, teachers)
        if rows.counts:
            counts = ", ".join(f"{name} {count:,}" for name, count in rows.counts.items())
            self._screen.print(f"  {stage.name}: {counts}")
        with self._vocabularies_cut(stage, [learner, *trained]):
            yield loop.Loop(
                loop.Job(
                    algorithm=stage.algorithm,
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
                    validate=lambda _: self._validate(learner, trained),
                    on_point=self._on_point(stage),
                    selected_by=self._main.value,
                )
            )

    @contextmanager
    def _vocabularies_cut(self, stage: Stage, learners: Sequence[Learner]) -> Iterator[None]:
        """Inside, the learners that train have the words alone that the stage reads."""
        with ExitStack() as cut:
            for learner in learners:
                ids = self._reading.vocabulary(stage, learner)
                if self._config.runtime.cut_vocabulary and ids is not None:
                    cut.enter_context(cut_to(learner, ids))
            yield

    def _validate(self, learner: Learner, teachers: list[Learner]) -> dict[str, float]:
        if not self._reading.has("validation"):
            return {}

        def score(model: Learner) -> evaluation.Score:
            return self._score(self._casting.predict(model, "validation"), "validation")

        of_teachers = {
            f"teacher_accuracy/{model.name}": score(model).accuracy for model in teachers
        }
        found = score(learner)
        main = self._main.value
        return {"accuracy": found.accuracy, main: found.metrics[main], **of_teachers}

    def _facts(
        self,
        stage: Stage,
        key: str,
        learner: Learner,
        finished: loop.Finished,
        scores: Mapping[str, evaluation.Score],
    ) -> dict[str, Any]:
        return {
            "key": key,
            "stage": plain(stage),
            "formula": stage.algorithm.formula(),
            "model": stage.learner.id,
            "parameters": learner.parameters,
            "training": {
                **{k: v for k, v in asdict(finished).items() if k != "history"},
                "device": self._machine.device.type,
                "machine": self._machine.name,
                "precision": self._machine.precision,
            },
            "history": finished.history,
            "metrics": {split: score.as_dict() for split, score in scores.items()},
            "data": dict(self._data.fingerprints),
            "versions": versions(),
        }

    # --- teachers ------------------------------------------------------------------------

    def _show_teacher(self, stage: Stage) -> None:
        """Print the teacher's score before a student step is taken.

        Raises:
            Refused: it is no better than chance, and that was not allowed.
        """
        name = stage.name.removeprefix("teacher/")
        if not self._reading.has("validation"):
            self._screen.print(f"  {name}: no validation rows to score it on")
            return
        signals = self._casting.signals(stage.name, "validation")
        found = self._score(signals.of(self._reading.ids("validation")), "validation")
        chance = self._chance(found)
        seen = "; may have seen the test rows" if self._casting.from_classifier(stage) else ""
        self._screen.print(
            f"  {name}: validation accuracy {100 * found.accuracy:.1f} "
            f"(largest class {100 * found.majority:.1f}){chance.shown}{seen}"
        )
        if chance.reached and self._plan.near_chance is NearChance.refuse:
            raise Refused(
                f"The teacher {name} is not better than chance: {chance.told}.",
                key="teacher.near_chance",
                value="refuse",
                rule="a teacher must know more than the largest class, or than a ranking by lot",
                way_out="more teacher.training.epochs, another teacher, "
                "or teacher.near_chance=allow",
            )

    def _chance(self, found: evaluation.Score) -> _Chance:
        """Beside the main metric where that ranks rows, else beside the largest class."""
        if self._main not in RANKING:
            told = (
                f"its 95% interval starts at {100 * found.low:.1f}, "
                f"the largest class has {100 * found.majority:.1f}"
            )
            return _Chance(found.low <= found.majority, "", told)
        # Where nearly every answer is wrong, accuracy says nothing of a ranking.
        name, ours = self._main.value, found.metrics[self._main.value]
        by_lot = evaluation.by_lot(self._main, self._data.splits["validation"])
        told = f"{name} {100 * ours:.1f}, and {100 * by_lot:.1f} where the order is drawn by lot"
        return _Chance(ours <= by_lot, f"; {told}", f"its {told}")


@dataclass(frozen=True)
class _Chance:
    """Whether a teacher does no better than chance, and in which words."""

    reached: bool
    shown: str  # behind its accuracy
    told: str  # where it is refused


def _trained_teachers(stage: Stage, teachers: TeacherSource) -> list[Learner]:
    if not isinstance(teachers, LiveTeachers):
        return []
    trained = stage.algorithm.trained_teachers(len(teachers.learners))
    return [teachers.learners[at] for at in trained]
