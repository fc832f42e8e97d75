"""Resolves the names by which a method's YAML refers to stages that are already planned."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

from distill_runner.config.schema import StageConfig
from distill_runner.errors import Refused
from distill_runner.planning.method_yaml import TEACHER_WORDS, MethodYaml
from distill_runner.planning.stages import Stage


class EarlierStages:
    """Resolves the teachers and the start that an entry of the YAML names.

    Args:
        yaml: the method's entries; a reference to one that is left out is followed further.
        teachers: the stages of the task's teachers.
        pretrain_teachers: the stages of the pretraining data's teachers; if there are none, the
            task's teachers teach.
    """

    def __init__(
        self, yaml: MethodYaml, teachers: Sequence[Stage], pretrain_teachers: Sequence[Stage]
    ) -> None:
        self._yaml = yaml
        self.teachers = tuple(teachers)
        self.pretrain_teachers = tuple(pretrain_teachers)
        self.students: dict[str, Stage] = {}
        self._last: dict[str, str] = {}  # the last repetition of an entry, by the entry's name

    @property
    def teacher_names(self) -> list[str]:
        """The names of the teachers' stages."""
        return [stage.name for stage in self.teachers]

    def add(self, stage: Stage) -> None:
        """Add a student's stage that has been planned."""
        self.students[stage.name] = stage
        self._last[stage.group] = stage.name

    def find(self, name: str) -> Stage:
        """Return the stage of that name, a teacher's or a student's."""
        known = (*self.pretrain_teachers, *self.teachers, *self.students.values())
        return next(stage for stage in known if stage.name == name)

    def repetitions(self, entry: str) -> tuple[str, ...]:
        """Return the stages of a repeated entry; none if it is not repeated."""
        return tuple(
            stage.name
            for stage in self.students.values()
            if stage.group == entry and stage.name != entry
        )

    def teaching(self, name: str, entry: StageConfig, repetition: int) -> tuple[str, ...]:
        """Return the names of the stages that teach in a repetition of the entry, counted from 0.

        Raises:
            Refused: a name is neither a word for teachers nor an earlier stage.
        """
        names: list[str] = []
        for wanted in entry.teachers:
            configured = self._configured_teachers(wanted, repetition)
            if configured is not None:
                names += configured
            elif wanted == "previous":
                names.append(self._last[name])
            elif wanted in self._last:
                names.append(self._last[wanted])
            elif matching := fnmatch.filter(self.students, wanted):
                names += matching
            elif self._yaml.is_earlier(wanted, name):
                names += self.teaching(wanted, self._yaml.entry(wanted), 0)
            else:
                raise Refused(
                    f"The stage {name!r} names a teacher that is not an earlier stage.",
                    key=f"method.stages.{name}.teachers",
                    value=wanted,
                    rule=f"{', '.join(TEACHER_WORDS)}, or earlier stages: {', '.join(self._last)}",
                )
        return tuple(names)

    def _configured_teachers(self, word: str, repetition: int) -> list[str] | None:
        """Return the configured teachers that a word stands for; None if it means other stages."""
        names = self.teacher_names
        pretrain = [stage.name for stage in self.pretrain_teachers] or names
        if word == "previous" and repetition > 0:
            return None
        return {
            "teachers": names,
            "previous": names,
            "first": names[:1],
            "each": names[repetition : repetition + 1],
            "pretrain_teachers": pretrain,
            "pretrain_first": pretrain[:1],
        }.get(word)

    def start(self, name: str, entry: StageConfig) -> Stage | None:
        """Return the stage whose student this entry continues; None if it starts a new student.

        Raises:
            Refused: the start is not an earlier stage.
        """
        start = entry.start
        if start == "student":  # even if a stage has that name
            return None
        while start != "student" and start not in self._last:
            if not self._yaml.is_earlier(start, name):
                raise Refused(
                    f"The stage {name!r} starts from a stage that is not an earlier one.",
                    key=f"method.stages.{name}.start",
                    value=start,
                    rule="student, or an earlier stage: " + ", ".join(self._last),
                )
            start = self._yaml.entry(start).start
        return self.students[self._last[start]] if start in self._last else None
