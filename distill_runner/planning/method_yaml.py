"""Reads the stages of a method's YAML, and finds the configuration key that sets each value."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from distill_runner.config.construct import construct
from distill_runner.config.schema import Config, StageConfig, Student, When
from distill_runner.errors import Refused

_MOST_REPETITIONS = 100  # each is a full training
DEPLOYED = "the last stage of a method is deployed, and must learn the task"
# The words for configured teachers in a stage's list of teachers.
TEACHER_WORDS = ("teachers", "first", "each", "previous", "pretrain_teachers", "pretrain_first")

_NAME = re.compile(r"[A-Za-z0-9_-]{1,60}")
_REPETITION = re.compile(r"(.+)-[0-9]+")  # the name of a stage's repetition


@dataclass(frozen=True)
class MethodYaml:
    """The stages of the configured method.

    Args:
        config: composed and typed.
        raw_method: the method's node before interpolation, which shows what key sets a value.
    """

    config: Config
    raw_method: Mapping[str, Any]

    def active_entries(self) -> dict[str, StageConfig]:
        """Return the stages that are not left out, in order.

        Raises:
            Refused: the YAML is not a mapping of stages, or a stage's name cannot be used.
        """
        entries = {}
        stages = self.config.method.get("stages")
        if not isinstance(stages, Mapping):
            raise Refused(
                "This method has no stages.", key="method.stages", value=stages, rule=DEPLOYED
            )
        for name, node in stages.items():
            _check_name(name, stages)
            if not isinstance(node, Mapping):
                raise Refused(
                    f"The stage {name!r} is empty.",
                    key=f"method.stages.{name}",
                    value=node,
                    rule="a mapping with algorithm, start, teachers, …",
                )
            entry = self.entry(name)
            if entry.epochs != 0 and entry.when is not When.never:
                entries[name] = entry
        return entries

    def entry(self, name: str) -> StageConfig:
        """Return the stage of that name, whether it is left out or not.

        Raises:
            Refused: a key that stages do not have, or a value of the wrong type.
        """
        entry = construct(
            StageConfig,
            self._node(name),
            key_of=lambda path: self.config_key(name, path),
            name=f"The stage {name!r}",
        )
        if not all(isinstance(wanted, str) for wanted in entry.teachers):
            raise Refused(
                f"The stage {name!r} has a teacher that is not a name.",
                key=self.config_key(name, "teachers"),
                value=list(entry.teachers),
                rule="a list of " + ", ".join(TEACHER_WORDS) + " or earlier stages",
            )
        return entry

    def keys_of_algorithm(self, stage: str) -> Callable[[str], str]:
        """Return a function from a setting of a stage's algorithm to its configuration key."""
        return lambda setting: self.config_key(stage, f"algorithm.{setting}")

    def config_key(self, stage: str, path: str) -> str:
        """Return the key that a user would change; for an interpolation, the key it refers to.

        Args:
            path: the value's place in the stage, such as "epochs" or "algorithm.alpha".
        """
        written: Any = self.raw_method["stages"][stage]
        for part in path.split("."):
            written = written.get(part) if isinstance(written, Mapping) else None
        if isinstance(written, str) and written.startswith("${") and written.endswith("}"):
            return written[2:-1]
        return f"method.stages.{stage}.{path}"

    def learners(self, name: str, entry: StageConfig) -> list[Student]:
        """Return the learner of each repetition: the student with the changes of the entry.

        Raises:
            Refused: `repeat` is neither a number nor a list of changes to the student.
        """
        key, repeat = self.config_key(name, "repeat"), entry.repeat
        rule = f"0..{_MOST_REPETITIONS}, or a list of mappings with model, start, layers"
        if repeat is None:
            return [self.config.student]
        if type(repeat) is int and 0 <= repeat <= _MOST_REPETITIONS:
            return [self.config.student] * repeat
        if not isinstance(repeat, list) or not all(isinstance(one, Mapping) for one in repeat):
            raise Refused(f"{key} is not a list of learners.", key=key, value=repeat, rule=rule)
        # The configured layers belong to the student's model, so another model drops them.
        student = vars(self.config.student)
        return [
            construct(
                Student,
                {**student, **({"layers": None} if "model" in changes else {}), **changes},
                key_of=lambda path: f"{key}.{path}",
                name=key,
            )
            for changes in repeat
        ]

    def is_earlier(self, wanted: str, name: str) -> bool:
        """Return whether the YAML has a stage `wanted` above the stage `name`."""
        order = list(self.config.method["stages"])
        return wanted in order and order.index(wanted) < order.index(name)

    @property
    def needs_teachers(self) -> bool:
        """Whether any stage learns from the configured teachers, however indirectly."""
        nodes = self.config.method["stages"].values()
        wanted = {name for node in nodes for name in node.get("teachers", ())}
        return bool(set(TEACHER_WORDS) & wanted)

    def _node(self, name: str) -> Mapping[str, Any]:
        node: Mapping[str, Any] = self.config.method["stages"][name]
        return node


def _check_name(name: object, stages: Mapping[str, Any]) -> None:
    """Refuse a name that cannot name a folder, or that has another meaning in a method."""
    usable = isinstance(name, str) and _NAME.fullmatch(name) and name not in TEACHER_WORDS
    repetition = _REPETITION.fullmatch(str(name))
    if not usable or (repetition is not None and repetition[1] in stages):
        raise Refused(
            "A stage cannot have this name.",
            key="method.stages",
            value=name,
            rule="1 to 60 letters, digits, _ and -; no word for teachers, and not STAGE-NUMBER "
            "for another stage",
        )
