"""The teachers of a stage as its algorithm sees them: cached, live, or none."""

from __future__ import annotations

from collections.abc import Mapping

from distill_runner.config.schema import NoiseSeenBy, WeighBy
from distill_runner.models import stored_logits
from distill_runner.models.learner import Learner
from distill_runner.models.teachers import (
    CachedTeachers,
    LanguageTeacher,
    LiveTeachers,
    NoTeachers,
    TeacherSource,
)
from distill_runner.objectives.ensemble import Ensemble, weights_by_accuracy
from distill_runner.pipeline.learner_factory import LearnerFactory
from distill_runner.pipeline.logit_cache import LogitCache
from distill_runner.pipeline.stage_records import read_record
from distill_runner.pipeline.task_data import TaskData
from distill_runner.planning.stages import Plan, Stage, steps_of
from distill_runner.runtime.machine import Machine
from distill_runner.storage.store import Artifact


class StageTeachers:
    """Gives each stage its teachers, whose own stages must be done.

    Args:
        data: the plan's data sets, by name.
        finished: the artifacts of the stages done so far, by name.
        factory: loads live teachers.
        logits: gives the logits of frozen teachers.
    """

    def __init__(
        self,
        plan: Plan,
        data: Mapping[str, TaskData],
        *,
        finished: Mapping[str, Artifact],
        factory: LearnerFactory,
        logits: LogitCache,
        machine: Machine,
    ) -> None:
        self._plan = plan
        self._data = data
        self._finished = finished
        self._factory = factory
        self._logits = logits
        self._machine = machine

    def teachers(self, stage: Stage) -> TeacherSource:
        """Return the stage's teachers, cached if one pass over the clean rows is enough."""
        if stage.backbone_of is not None:
            return LanguageTeacher(self._factory.language_teacher(stage))
        if not stage.teachers:
            return NoTeachers()
        ensemble, device = self.ensemble(stage), self._machine.device
        if self._cacheable(stage):
            names = [self._plan.stage(name).label for name in stage.teachers]
            cached = [
                stored_logits.merge([self._logits.logits(name, split) for split in stage.rows])
                for name in stage.teachers
            ]
            return CachedTeachers(names, cached, ensemble, device)
        learners = [self._factory.load_finished(name) for name in stage.teachers]
        trained = stage.algorithm.needs.positions_trained(len(learners))
        return LiveTeachers(learners, ensemble, device, trained=trained)

    def ensemble(self, stage: Stage) -> Ensemble:
        """Return the rule that joins the logits of the stage's teachers."""
        combination, weights = stage.combination, stage.combination.weights
        if combination.weigh_by is WeighBy.validation:
            records = [read_record(self._finished[name]) for name in stage.teachers]
            scores = [record.metrics["validation"] for record in records]
            weights = weights_by_accuracy(
                [score["accuracy"] for score in scores],
                rows=scores[0].n,
                classes=len(self._data[stage.data].data.label_names),
            )
        task = self._data[stage.data].task
        return task.ensemble(combination.combine, weights, combination.temperatures or None)

    def _cacheable(self, stage: Stage) -> bool:
        if stage.algorithm.needs.teachers != "frozen":
            return False
        if stage.noise is not None and stage.noise.seen_by is NoiseSeenBy.both:
            return False
        if stage.chooses_rows:
            return True  # choosing rows needs the logits of all of them
        if self._plan.file_teachers(stage):
            return True  # a file's answers cost nothing
        rows = sum(self._data[stage.data].data.counts[split] for split in stage.rows)
        # A stage of less than one epoch would pay for rows that it never visits.
        return steps_of(stage.training, rows) * stage.training.batch_size >= rows


def trained_teachers(stage: Stage, teachers: TeacherSource) -> list[Learner]:
    """Return those of the stage's teachers that its algorithm trains."""
    if not isinstance(teachers, LiveTeachers):
        return []
    trained = stage.algorithm.needs.positions_trained(len(teachers.learners))
    return [teachers.learners[at] for at in trained]
