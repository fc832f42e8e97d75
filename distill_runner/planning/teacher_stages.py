"""Plans a stage for each configured teacher, which fine-tunes it or uses it as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from distill_runner.config.schema import Config, Finetune, Teacher, Training
from distill_runner.errors import Refused
from distill_runner.planning.initialisation import (
    AnswersFile,
    FinetunedClassifier,
    Initialisation,
    PretrainedWeights,
    RandomWeights,
)
from distill_runner.planning.setting_checks import teacher_on
from distill_runner.planning.stages import PRETRAIN, TASK, ModelSpec, Role, Stage

if TYPE_CHECKING:
    from distill_runner.methods.base import Algorithm

_FINE_TUNE = {"_target_": "distill_runner.methods.finetune.FineTune"}

# The first teacher's seed, by data set; far from the usual seeds of students.
_FIRST_SEED = {TASK: 1001, PRETRAIN: 2001}


class MakeAlgorithm(Protocol):
    """Builds the algorithm that a YAML node describes (`methods.construct`)."""

    def __call__(
        self,
        node: Mapping[str, Any],
        *,
        stage: str = ...,
        key_of: Callable[[str], str] | None = ...,
    ) -> Algorithm:
        """Build the algorithm of `node` for the stage of that name."""
        ...


@dataclass(frozen=True)
class TeacherPlanner:
    """Plans the teachers' stages.

    Args:
        config: composed and typed.
        make_algorithm: builds an algorithm and checks its arguments.
        is_classifier: whether (model, key) is already a trained classifier.
    """

    config: Config
    make_algorithm: MakeAlgorithm
    is_classifier: Callable[[str, str], bool]

    def stages(self, data: str) -> list[Stage]:
        """Plan the stages of a data set's teachers, in the configured order.

        Raises:
            Refused: two teachers would be fine-tuned identically.
        """
        teacher = teacher_on(self.config, data)
        prefix = "" if teacher is self.config.teacher else f"{PRETRAIN}."
        first = _FIRST_SEED[data]
        seeds = teacher.seeds or list(range(first, first + teacher.count))
        stages: list[Stage] = []
        for position, seed in enumerate(seeds):
            if teacher.files:
                key = f"{prefix}teacher.path"
                stage = self._of_file(teacher, teacher.files[position], seed, data=data, key=key)
            else:
                key = f"{prefix}teacher.models"
                stage = self._stage(teacher, position, seed, data=data, key=key)
            if any(other.name == stage.name for other in stages):
                stage = replace(stage, name=f"{stage.name}#{position + 1}")
            _check_no_twin(stage, stages, key=f"{prefix}teacher.seeds", seeds=seeds)
            stages.append(stage)
        return stages

    def _stage(self, teacher: Teacher, position: int, seed: int, *, data: str, key: str) -> Stage:
        model = teacher.models[position]
        group = "teacher" if data == TASK else data
        initialisation = self._initialisation(teacher, model, key)
        already_finetuned = isinstance(initialisation, FinetunedClassifier)
        return Stage(
            name=f"{group}/{model.rstrip('/').rsplit('/', 1)[-1]}",
            role=Role.teacher if data == TASK else Role.pretrain_teacher,
            group=group,
            learner=ModelSpec(
                model,
                built=self.config.models.get(model),
                labels=tuple(teacher.labels) if teacher.labels and already_finetuned else None,
                config_key=key,
            ),
            initialisation=initialisation,
            algorithm=self.make_algorithm(_FINE_TUNE),
            training=self._training(teacher, position, already_finetuned=already_finetuned),
            seed=seed,
            data=data,
        )

    def _of_file(self, teacher: Teacher, path: str, seed: int, *, data: str, key: str) -> Stage:
        """Plan the stage of a file of answers, in which nothing is trained."""
        group = "teacher" if data == TASK else data
        return Stage(
            name=f"{group}/{Path(path).stem}",
            role=Role.teacher if data == TASK else Role.pretrain_teacher,
            group=group,
            learner=ModelSpec(path, config_key=key),
            initialisation=AnswersFile(path, teacher.missing),
            algorithm=self.make_algorithm(_FINE_TUNE),
            training=replace(self.config.training, epochs=0, accumulate=1),
            seed=seed,
            data=data,
            rows=(),
        )

    def _initialisation(self, teacher: Teacher, model: str, key: str) -> Initialisation:
        finetune, built = teacher.finetune, model in self.config.models
        if finetune is Finetune.never:
            return FinetunedClassifier()
        if finetune is Finetune.auto and not built and self.is_classifier(model, key):
            return FinetunedClassifier()
        return RandomWeights() if built else PretrainedWeights()

    def _training(self, teacher: Teacher, position: int, *, already_finetuned: bool) -> Training:
        own, rates = teacher.training, teacher.learning_rates
        return replace(
            self.config.training,
            epochs=0 if already_finetuned else own.epochs,
            batch_size=own.batch_size,
            learning_rate=own.learning_rate if rates is None else rates[position],
            max_steps=own.max_steps,
            accumulate=1,
        )


def _check_no_twin(teacher: Stage, before: Sequence[Stage], *, key: str, seeds: list[int]) -> None:
    """Refuse a teacher that would be fine-tuned exactly like an earlier one."""
    for other in before:
        if _fine_tuning(other) == _fine_tuning(teacher) and not teacher.is_given:
            raise Refused(
                f"{other.name} and {teacher.name} would be the same teacher.",
                key=key,
                value=seeds,
                rule="another seed, or another learning rate, for each fine-tuning of one model",
                way_out=f"{key}=null gives each its own seed",
            )


def _fine_tuning(teacher: Stage) -> tuple[str, Training, int]:
    """Return everything that distinguishes two fine-tunings."""
    return teacher.learner.id.rstrip("/"), teacher.training, teacher.seed
