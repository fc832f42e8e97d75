"""Plans the students' stages: one for each entry of a method's YAML, or for each repetition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from distill_runner.config.schema import (
    Config,
    NoiseKind,
    Select,
    StageConfig,
    Start,
    Student,
    Teacher,
)
from distill_runner.errors import Refused
from distill_runner.planning.earlier_stages import EarlierStages
from distill_runner.planning.file_teachers import learns_no_labels
from distill_runner.planning.initialisation import (
    EarlierStudent,
    Initialisation,
    PretrainedWeights,
    RandomWeights,
    TeacherLayers,
)
from distill_runner.planning.method_yaml import MethodYaml
from distill_runner.planning.setting_checks import teacher_on
from distill_runner.planning.stage_checks import check_algorithm, check_unlabelled
from distill_runner.planning.stages import (
    BASELINE,
    PRETRAIN,
    TASK,
    UNLABELLED,
    Combination,
    ModelSpec,
    Role,
    Stage,
)

if TYPE_CHECKING:
    from distill_runner.methods.base import Algorithm


def data_of(config: Config, entry: StageConfig) -> str:
    """Return the data that an entry reads: the task's if none is configured for pretraining."""
    own = entry.data == PRETRAIN and config.pretrain.dataset is not None
    return PRETRAIN if own else TASK


@dataclass(frozen=True)
class StudentPlanner:
    """Plans the students' stages, each after the stages that it refers to.

    Args:
        config: composed and typed.
        yaml: the method's entries.
        algorithms: of the active entries, by name.
        earlier: the stages planned so far; `add` adds to them.
    """

    config: Config
    yaml: MethodYaml
    algorithms: Mapping[str, Algorithm]
    earlier: EarlierStages

    def add(self, name: str, entry: StageConfig) -> None:
        """Plan the stages of one entry.

        Raises:
            Refused: settings contradict each other.
        """
        learners = self.yaml.learners(name, entry)
        each = "each" in entry.teachers
        if each:
            learners = [self.config.student] * len(self.earlier.teachers)
        for repetition, learner in enumerate(learners):
            title = name if entry.repeat is None and not each else f"{name}-{repetition + 1}"
            stage = self._stage(name, entry, learner, repetition)
            self.earlier.add(replace(stage, name=title))

    def _stage(self, name: str, entry: StageConfig, learner: Student, repetition: int) -> Stage:
        """Plan one repetition; the stage is named after its entry."""
        config, algorithm = self.config, self.algorithms[name]
        data = data_of(config, entry)
        teacher = teacher_on(config, data)
        teaching = self.earlier.teaching(name, entry, repetition)
        self._check_teachers(name, entry, teaching)
        check_algorithm(config, name, algorithm, entry=entry, teacher=teacher, teaching=teaching)
        before = self.earlier.start(name, entry)
        start = entry.student_start or learner.start
        spec = self._model(learner, self.yaml.config_key(name, "repeat"), start)
        noisy = entry.noisy and config.noise.kind is not NoiseKind.none and config.noise.p > 0
        language = algorithm.needs.language
        return Stage(
            name=name,
            role=Role.baseline if name == BASELINE else Role.student,
            group=name,
            learner=spec,
            initialisation=self._initialisation(before, spec, start, fresh_head=entry.fresh_head),
            algorithm=algorithm,
            training=replace(
                config.training,
                epochs=self._epochs(entry),
                learning_rate=entry.learning_rate or config.training.learning_rate,
                # A language stage does not train its head, so no score can choose an epoch.
                select=Select.last if language else config.training.select,
            ),
            seed=config.seed + entry.seed_offset + repetition,
            backbone_of=self.earlier.teacher_names[0] if language else None,
            teachers=teaching,
            combination=self._combination(teacher, teaching),
            rows=self._rows(name, entry, algorithm),
            data=data,
            noise=config.noise if noisy else None,
            first_epoch=before.first_epoch + before.training.epochs if before else 0,
        )

    def _check_teachers(self, name: str, entry: StageConfig, teaching: tuple[str, ...]) -> None:
        """Refuse a teacher without a trained classifier, or one trained on other data."""
        data = data_of(self.config, entry)
        for teacher in map(self.earlier.find, teaching):
            if not teacher.reads_task:
                raise Refused(
                    f"{teacher.name} learns language, not classes: it cannot teach classes.",
                    key=self.yaml.config_key(name, "teachers"),
                    value=list(entry.teachers),
                    rule="teachers that learn the task",
                )
            if teacher.data != data:
                raise Refused(
                    f"{teacher.name} was trained on other data than the stage {name!r} reads.",
                    key=self.yaml.config_key(name, "teachers"),
                    value=list(entry.teachers),
                    rule="teachers of the stage's own data",
                    way_out="[pretrain_teachers]" if data == PRETRAIN else "[teachers]",
                )

    def _epochs(self, entry: StageConfig) -> int:
        if entry.untrained:
            return 0
        return self.config.training.epochs if entry.epochs is None else entry.epochs

    def _rows(self, name: str, entry: StageConfig, algorithm: Algorithm) -> tuple[str, ...]:
        if entry.rows == UNLABELLED:
            pretrain = data_of(self.config, entry) == PRETRAIN
            check_unlabelled(self.config, name, algorithm, pretrain=pretrain)
            return (UNLABELLED,)
        quiz = ("quiz",) if entry.with_quiz_rows else ()
        pool = algorithm.needs.pool or self._learns_unlabelled(entry, algorithm)
        no_labels = learns_no_labels(self.config, data_of(self.config, entry))
        if pool and no_labels and not quiz and algorithm.settings_of_labels is not None:
            return (UNLABELLED,)
        return ("train", *quiz, *((UNLABELLED,) if pool else ()))

    def _learns_unlabelled(self, entry: StageConfig, algorithm: Algorithm) -> bool:
        """Return whether the stage learns the named texts without labels, besides its own rows.

        If the method has a first stage on these texts, only that one learns them.
        """
        data = data_of(self.config, entry)
        dataset = self.config.pretrain.dataset if data == PRETRAIN else self.config.dataset
        assert dataset is not None
        wanted = dataset.unlabelled
        others = map(self.yaml.entry, self.algorithms)
        taken = any(o.rows == UNLABELLED and data_of(self.config, o) == data for o in others)
        named = wanted.in_files or wanted.rest
        return named and not taken and algorithm.learns_unlabelled and algorithm.needs.labels

    def _initialisation(
        self, before: Stage | None, spec: ModelSpec, start: Start, *, fresh_head: bool
    ) -> Initialisation:
        if before is not None:
            # A stage that learns language leaves an untrained classifier.
            return EarlierStudent(before.name, fresh_head=fresh_head or not before.reads_task)
        if start in (Start.teacher, Start.pretrained_teacher):
            teacher = self.earlier.teacher_names[0]
            return TeacherLayers(teacher, finetuned=start is Start.teacher)
        # A model built here has no weights of its own to start from.
        random = start is Start.random or spec.built is not None
        return RandomWeights() if random else PretrainedWeights()

    def _model(self, student: Student, key: str, start: Start) -> ModelSpec:
        """Describe the learner's model; `key` names it unless it is the configured student."""
        built = self.config.models.get(student.model)
        teacher = self.config.models.get(next(iter(self.config.teacher.models), ""))
        if built is not None and teacher is not None and start is Start.pretrained_teacher:
            # Unlike the models they replace, stand-ins differ in width: the student takes the
            # teacher's, so that its layers can be copied.
            built = replace(teacher, family=built.family, layers=built.layers)
        layers = tuple(student.layers) if student.layers is not None else None
        if built is not None and layers is not None:
            # A stand-in may have fewer layers than the model it replaces.
            layers = tuple(range(min(len(layers), built.layers)))
        return ModelSpec(
            student.model,
            layers=layers,
            built=built,
            config_key=key if student is not self.config.student else "student.model",
        )

    def _combination(self, teacher: Teacher, teaching: tuple[str, ...]) -> Combination:
        """Describe how the teachers' outputs are combined.

        Weights and temperatures, configured per teacher, only apply if all teachers teach.
        """
        if not teaching:
            return Combination()
        pretrain = [stage.name for stage in self.earlier.pretrain_teachers]
        all_teach = list(teaching) in (pretrain, self.earlier.teacher_names)
        weights = (teacher.weights if all_teach else None) or [1.0] * len(teaching)
        return Combination(
            combine=teacher.combine,
            weights=tuple(weight / sum(weights) for weight in weights),
            weigh_by=teacher.weigh_by,
            temperatures=tuple(teacher.temperatures or ()) if all_teach else (),
        )
