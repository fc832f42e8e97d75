"""From the configuration to a plan. Every check between fields is made here.

No model and no data is loaded; an algorithm's class is imported for what it declares, and
nothing asks for its name.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from distill_runner.config.schema import (
    Config,
    Finetune,
    NoiseKind,
    Select,
    StageConfig,
    Start,
    Student,
    Teacher,
    Training,
)
from distill_runner.errors import Refused
from distill_runner.planning.baseline import one_learner, with_learner_of
from distill_runner.planning.initialisation import (
    EarlierStudent,
    FinetunedClassifier,
    Initialisation,
    PretrainedWeights,
    RandomWeights,
    TeacherLayers,
)
from distill_runner.planning.method_yaml import DEPLOYED, TEACHER_WORDS, Entries
from distill_runner.planning.ranges import check_settings, teacher_on
from distill_runner.planning.stage_checks import check_algorithm, check_hops, check_unlabelled
from distill_runner.planning.stages import (
    POOL,
    PRETRAIN,
    TASK,
    UNLABELLED,
    ModelSpec,
    Plan,
    Role,
    Stage,
)

if TYPE_CHECKING:
    from distill_runner.methods.base import Algorithm

_FINE_TUNE = {"_target_": "distill_runner.methods.finetune.FineTune"}

# Of the teachers of a data set, by position; far from the seeds that students are given.
_FIRST_SEED = {TASK: 1001, PRETRAIN: 2001}


class MakeAlgorithm(Protocol):
    """Builds the algorithm that a YAML node describes (`methods.construct`)."""

    def __call__(self, node: Mapping[str, Any], *, stage: str = ...) -> Algorithm: ...


def make_plan(
    config: Config,
    *,
    method: str,
    raw_method: Mapping[str, Any],
    make_algorithm: MakeAlgorithm,
    is_classifier: Callable[[str, str], bool],
) -> Plan:
    """Turn a configuration into stages.

    Args:
        config: composed and typed.
        method: the option's name, as printed.
        raw_method: the method's node before interpolation, to name the key to blame.
        make_algorithm: builds an algorithm, its arguments checked.
        is_classifier: says of (model, key) whether it is a trained classifier already.

    Raises:
        Refused: settings that contradict each other or break a rule.
    """
    check_settings(config)
    yaml = Entries(config, raw_method)
    return _Planner(config, yaml, make_algorithm, is_classifier).plan(method)


@dataclass
class _Planner:
    config: Config
    yaml: Entries
    make_algorithm: MakeAlgorithm
    is_classifier: Callable[[str, str], bool]
    teachers: list[Stage] = field(default_factory=list)
    pretrain_teachers: list[Stage] = field(default_factory=list)
    students: dict[str, Stage] = field(default_factory=dict)
    last: dict[str, str] = field(default_factory=dict)  # a repeated stage's last repetition
    algorithms: dict[str, Algorithm] = field(default_factory=dict)

    def plan(self, method: str) -> Plan:
        entries = self.yaml.taking_place()
        # First what is known at once: a hub may be asked about a teacher.
        self.algorithms = {
            name: self.make_algorithm(entry.algorithm, stage=name)
            for name, entry in entries.items()
        }
        if self._wants_teachers():
            self.teachers = self._teacher_stages(self.config.teacher, TASK)
        if self._data_of(PRETRAIN) == PRETRAIN and any(
            entry.data == PRETRAIN for entry in entries.values()
        ):
            self.pretrain_teachers = self._teacher_stages(
                teacher_on(self.config, PRETRAIN), PRETRAIN
            )
        for name, entry in entries.items():
            if name != list(entries)[-1] and entry.repeat and not entry.untrained:
                on_the_way = self.yaml.learners(name, entry)
                check_hops(on_the_way, self.config.student, key=self.yaml.blame(name, "repeat"))
            self._add_students(name, entry)
        if not self.students or list(self.students)[-1] == "baseline":
            raise Refused(
                "This method has no stage to deploy.",
                key="method.stages",
                value=list(self.config.method["stages"]),
                rule=DEPLOYED,
            )
        plan = Plan(
            stages=(*self.pretrain_teachers, *self.teachers, *self.students.values()),
            deployed=list(self.students)[-1],
            baseline="baseline" if "baseline" in self.students else None,
            teachers=tuple(self._teacher_names),
            pretrain_teachers=tuple(stage.name for stage in self.pretrain_teachers),
            members=self._repetitions(entries) if self._last(entries).together else (),
            chain=self._chain(entries),
            stopping=self._stopping(entries),
            method=method,
        )
        return plan if plan.baseline is None else _with_its_counterpart(plan, plan.baseline)

    @property
    def _teacher_names(self) -> list[str]:
        return [stage.name for stage in self.teachers]

    # --- teachers ------------------------------------------------------------------------

    def _wants_teachers(self) -> bool:
        config = self.config
        copied = (Start.teacher, Start.pretrained_teacher)
        of_words = any(algorithm.needs.language for algorithm in self.algorithms.values())
        wanted = config.student.start in copied or self.yaml.name_teachers or of_words
        if wanted and not config.teacher.models:
            raise Refused(
                "This method needs a teacher and none is configured.",
                key="teacher.models",
                value=config.teacher.models,
                rule="one hub id or folder at least",
                way_out="teacher=bert",
            )
        return wanted

    def _teacher_stages(self, teacher: Teacher, data: str) -> list[Stage]:
        prefix = "" if teacher is self.config.teacher else f"{PRETRAIN}."
        stages: list[Stage] = []
        first = _FIRST_SEED[data]
        seeds = teacher.seeds or list(range(first, first + len(teacher.models)))
        for model, seed in zip(teacher.models, seeds, strict=True):
            finetuned = self._is_already_finetuned(teacher, model, f"{prefix}teacher.models")
            built = self.config.models.get(model)
            group = "teacher" if data == TASK else data
            name = f"{group}/{model.rstrip('/').rsplit('/', 1)[-1]}"
            if any(stage.name == name for stage in stages):
                name = f"{name}#{len(stages) + 1}"
            spec = ModelSpec(
                model,
                built=built,
                labels=tuple(teacher.labels) if teacher.labels else None,
                config_key=f"{prefix}teacher.models",
            )
            fresh = RandomWeights() if built else PretrainedWeights()
            stages.append(
                Stage(
                    name=name,
                    learner=spec,
                    algorithm=self.make_algorithm(_FINE_TUNE),
                    training=self._teacher_training(
                        teacher, len(stages), already_finetuned=finetuned
                    ),
                    seed=seed,
                    role=Role.teacher if data == TASK else Role.pretrain_teacher,
                    group=group,
                    initialisation=FinetunedClassifier() if finetuned else fresh,
                    data=data,
                )
            )
            _check_no_twin(stages, f"{prefix}teacher.seeds", seeds)
        return stages

    def _is_already_finetuned(self, teacher: Teacher, model: str, key: str) -> bool:
        """Whether the teacher is used as it is, without fine-tuning."""
        wish = teacher.finetune
        if wish is not Finetune.auto:
            return wish is Finetune.never
        return model not in self.config.models and self.is_classifier(model, key)

    def _teacher_training(self, teacher: Teacher, at: int, *, already_finetuned: bool) -> Training:
        own, rates = teacher.training, teacher.learning_rates
        return replace(
            self.config.training,
            epochs=0 if already_finetuned else own.epochs,
            batch_size=own.batch_size,
            learning_rate=own.learning_rate if rates is None else rates[at],
            max_steps=own.max_steps,
            accumulate=1,
        )

    # --- the student ---------------------------------------------------------------------

    def _add_students(self, name: str, entry: StageConfig) -> None:
        """The stage, or one for each of its repetitions, each after the one before."""
        learners = self.yaml.learners(name, entry)
        each = "each" in entry.teachers
        if each:
            learners = [self.config.student] * len(self.teachers)
        for turn, own in enumerate(learners):
            title = name if entry.repeat is None and not each else f"{name}-{turn + 1}"
            self.students[title] = self._student(title, name, entry, own, turn)
            self.last[name] = title

    def _student(
        self, title: str, name: str, entry: StageConfig, learner: Student, turn: int
    ) -> Stage:
        config = self.config
        algorithm = self.algorithms[name]
        teaching = self._teaching(name, entry, turn)
        self._check_same_data(name, entry, teaching)
        teacher = teacher_on(config, self._data_of(entry.data))
        check_algorithm(config, name, algorithm, entry=entry, teacher=teacher, teaching=teaching)
        algorithm.trained_teachers(len(teaching))
        before = self._before(name, entry)
        start = entry.student_start or learner.start
        spec = self._spec(learner, self.yaml.blame(name, "repeat"), start)
        noisy = entry.noisy and config.noise.kind is not NoiseKind.none and config.noise.p > 0
        language = algorithm.needs.language
        return Stage(
            name=title,
            learner=spec,
            algorithm=algorithm,
            training=replace(
                config.training,
                epochs=self._epochs(entry),
                learning_rate=entry.learning_rate or config.training.learning_rate,
                # A head that learns nothing cannot choose an epoch.
                select=Select.last if language else config.training.select,
            ),
            seed=config.seed + entry.seed_offset + turn,
            role=Role.baseline if name == "baseline" else Role.student,
            group=name,
            initialisation=self._initialisation(before, spec, start, fresh_head=entry.fresh_head),
            backbone_of=self._teacher_names[0] if language else None,
            teachers=teaching,
            **self._ensemble(teacher, teaching),
            rows=self._rows(name, entry, algorithm),
            data=self._data_of(entry.data),
            noise=config.noise if noisy else None,
            first_epoch=before.first_epoch + before.training.epochs if before else 0,
        )

    def _check_same_data(self, name: str, entry: StageConfig, teaching: tuple[str, ...]) -> None:
        """Refuse a teacher of other rows: nothing says what it would answer on these."""
        data = self._data_of(entry.data)
        known = (*self.pretrain_teachers, *self.teachers, *self.students.values())
        for stage in known:
            if stage.name in teaching and stage.data != data:
                raise Refused(
                    f"{stage.name} learnt on other rows than the stage {name!r} reads.",
                    key=self.yaml.blame(name, "teachers"),
                    value=list(entry.teachers),
                    rule="teachers of the stage's own data",
                    way_out="[pretrain_teachers]" if data == PRETRAIN else "[teachers]",
                )

    def _data_of(self, wanted: str) -> str:
        """The data that a stage names; without any of its own, pretraining is on the task's."""
        own = wanted == PRETRAIN and self.config.pretrain.dataset is not None
        return PRETRAIN if own else TASK

    def _stopping(self, entries: Mapping[str, StageConfig]) -> tuple[str, ...]:
        name, entry = list(entries.items())[-1]
        chain = self._repetitions(entries) if entry.stop else ()
        if len(chain) > 1 and self.config.dataset.split.validation == 0:
            key = self.yaml.blame(name, "stop")
            raise Refused(
                "Nothing says when to stop where there are no validation rows.",
                key=key,
                value=True,
                rule="needs dataset.split.validation",
                way_out=f"{key}=false",
            )
        return chain if len(chain) > 1 else ()  # one alone is not chosen

    def _chain(self, entries: Mapping[str, StageConfig]) -> tuple[str, ...]:
        """The repetitions of the deployed stage, where each learns from the one before it."""
        return self._repetitions(entries) if "previous" in self._last(entries).teachers else ()

    def _last(self, entries: Mapping[str, StageConfig]) -> StageConfig:
        return list(entries.values())[-1]

    def _repetitions(self, entries: Mapping[str, StageConfig]) -> tuple[str, ...]:
        """The repetitions of the stage that is deployed."""
        last = list(entries)[-1]
        return tuple(
            stage.name
            for stage in self.students.values()
            if stage.group == last and stage.name != last
        )

    def _rows(self, name: str, entry: StageConfig, algorithm: Algorithm) -> tuple[str, ...]:
        if entry.rows == UNLABELLED:
            check_unlabelled(
                self.config, name, algorithm, pretrain=self._data_of(entry.data) == PRETRAIN
            )
            return (UNLABELLED,)
        quiz = ("quiz",) if entry.with_quiz_rows else ()
        pool = (POOL,) if algorithm.needs.pool else ()
        return ("train", *quiz, *pool)

    def _epochs(self, entry: StageConfig) -> int:
        if entry.untrained:
            return 0
        return self.config.training.epochs if entry.epochs is None else entry.epochs

    def _initialisation(
        self, before: Stage | None, spec: ModelSpec, start: Start, *, fresh_head: bool
    ) -> Initialisation:
        if before is not None:
            return EarlierStudent(before.name, fresh_head=fresh_head)
        if start in (Start.teacher, Start.pretrained_teacher):
            return TeacherLayers(self._teacher_names[0], finetuned=start is Start.teacher)
        # A model built here has no weights of its own to start from.
        random = start is Start.random or spec.built is not None
        return RandomWeights() if random else PretrainedWeights()

    def _spec(self, student: Student, key: str, start: Start) -> ModelSpec:
        built = self.config.models.get(student.model)
        origin = self.config.models.get(next(iter(self.config.teacher.models), ""))
        if built is not None and origin is not None and start is Start.pretrained_teacher:
            # Stand-ins differ in width as their models do not: one cut from another has its shape.
            built = replace(origin, family=built.family, layers=built.layers)
        layers = tuple(student.layers) if student.layers is not None else None
        if built is not None and layers is not None:
            # The profile's stand-in may have fewer layers than the model it stands for.
            layers = tuple(range(min(len(layers), built.layers)))
        return ModelSpec(
            student.model,
            layers=layers,
            built=built,
            config_key=key if student is not self.config.student else "student.model",
        )

    def _teaching(self, name: str, entry: StageConfig, turn: int) -> tuple[str, ...]:
        """The stages that teach in repetition `turn`; one left out passes on its own teachers."""
        names: list[str] = []
        for wanted in entry.teachers:
            known = self._known_teachers(wanted, turn)
            if known is not None:
                names += known
            elif wanted == "previous":
                names.append(self.last[name])
            elif wanted in self.last:
                names.append(self.last[wanted])
            elif found := fnmatch.filter(self.students, wanted):
                names += found
            elif self.yaml.is_earlier(wanted, name):
                names += self._teaching(wanted, self.yaml.of(wanted), 0)
            else:
                raise Refused(
                    f"The stage {name!r} names a teacher that does not exist by then.",
                    key=f"method.stages.{name}.teachers",
                    value=wanted,
                    rule=f"{', '.join(TEACHER_WORDS)}, or earlier stages: {', '.join(self.last)}",
                )
        return tuple(names)

    def _known_teachers(self, wanted: str, turn: int) -> list[str] | None:
        """What a word for some of the configured teachers stands for; None for other words."""
        names = self._teacher_names
        pretrain = [stage.name for stage in self.pretrain_teachers] or names
        if wanted == "previous" and turn > 0:
            return None
        return {
            "teachers": names,
            "previous": names,
            "first": names[:1],
            "each": names[turn : turn + 1],
            "pretrain_teachers": pretrain,
            "pretrain_first": pretrain[:1],
        }.get(wanted)

    def _before(self, name: str, entry: StageConfig) -> Stage | None:
        """The stage whose student goes on here; a stage left out passes on its own start."""
        start = entry.start
        if start == "student":  # also where a stage has that name
            return None
        while start != "student" and start not in self.last:
            if not self.yaml.is_earlier(start, name):
                raise Refused(
                    f"The stage {name!r} starts from a stage that does not exist by then.",
                    key=f"method.stages.{name}.start",
                    value=start,
                    rule="student, or an earlier stage: " + ", ".join(self.last),
                )
            start = self.yaml.of(start).start
        return self.students[self.last[start]] if start in self.last else None

    def _ensemble(self, teacher: Teacher, teaching: tuple[str, ...]) -> dict[str, Any]:
        """How they are joined; what is given for each teacher holds where all of them teach."""
        if not teaching:
            return {}
        all_of_them = ([stage.name for stage in self.pretrain_teachers], self._teacher_names)
        whole = list(teaching) in all_of_them
        weights = (teacher.weights if whole else None) or [1.0] * len(teaching)
        return {
            "combine": teacher.combine,
            "weights": tuple(weight / sum(weights) for weight in weights),
            "weigh_by": teacher.weigh_by,
            "temperatures": tuple(teacher.temperatures or ()) if whole else (),
        }


def _check_no_twin(stages: Sequence[Stage], key: str, seeds: list[int]) -> None:
    """Refuse a last teacher that would be fine-tuned exactly as one before it.

    Raises:
        Refused: it has the model, the settings and the seed of another.
    """
    *before, last = stages
    for other in before:
        if _fine_tuned_as(other) == _fine_tuned_as(last) and not last.already_finetuned:
            raise Refused(
                f"{other.name} and {last.name} would be one teacher twice.",
                key=key,
                value=seeds,
                rule="another seed, or another learning rate, for each fine-tuning of one model",
                way_out=f"{key}=null gives each a seed of its own",
            )


def _fine_tuned_as(teacher: Stage) -> tuple[str, Training, int]:
    return teacher.learner.id.rstrip("/"), teacher.training, teacher.seed


def _with_its_counterpart(plan: Plan, name: str) -> Plan:
    """The plan whose baseline knows what it is compared with, and comes behind it if it must."""
    like = plan.candidates
    baseline = replace(with_learner_of(plan.stage(name), plan, plan.deployed), like=like)
    others = [stage for stage in plan.stages if stage.name != name]
    # Which of several models is deployed, and how many rows of a pool it reads, is known late.
    waits = not one_learner(plan, like) or any(POOL in plan.stage(one).rows for one in like)
    at = len(others) if waits else plan.stages.index(plan.stage(name))
    return replace(plan, stages=(*others[:at], baseline, *others[at:]))
