"""A method's YAML: its stages as they are written, typed, with the key to blame for each value."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from distill_runner.config.construct import construct
from distill_runner.config.schema import Config, StageConfig, Student, When
from distill_runner.errors import Refused

_MOST_TIMES = 100  # a stage is repeated; each time is a training of its own
DEPLOYED = "the last stage of a method is what it deploys, and learns the task"
# What stands for some of the configured teachers in a stage's list.
TEACHER_WORDS = ("teachers", "first", "each", "previous", "pretrain_teachers", "pretrain_first")

_NAME = re.compile(r"[A-Za-z0-9_-]{1,60}")
_REPETITION = re.compile(r"(.+)-[0-9]+")  # how a stage's repetitions are named


@dataclass(frozen=True)
class Entries:
    """The stages of the configured method.

    Args:
        config: composed and typed.
        raw_method: the method's node before interpolation, to name the key to blame.
    """

    config: Config
    raw_method: Mapping[str, Any]

    def taking_place(self) -> dict[str, StageConfig]:
        """The stages that take place, in order.

        Raises:
            Refused: the YAML is no mapping of stages.
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
            entry = self.of(name)
            if entry.epochs != 0 and entry.when is not When.never:
                entries[name] = entry
        return entries

    def of(self, name: str) -> StageConfig:
        """The stage of that name, also one that is left out.

        Raises:
            Refused: a key that stages do not have, or a value of another type.
        """
        entry = construct(
            StageConfig,
            self._node(name),
            key_of=lambda path: self.blame(name, path),
            name=f"The stage {name!r}",
        )
        if not all(isinstance(wanted, str) for wanted in entry.teachers):
            raise Refused(
                f"The stage {name!r} names teachers that are no names.",
                key=self.blame(name, "teachers"),
                value=list(entry.teachers),
                rule="a list of " + ", ".join(TEACHER_WORDS) + " or earlier stages",
            )
        return entry

    def keys_of_algorithm(self, stage: str) -> Callable[[str], str]:
        """The key to blame for each setting of a stage's algorithm."""
        return lambda setting: self.blame(stage, f"algorithm.{setting}")

    def blame(self, stage: str, path: str) -> str:
        """The key that a person would change: the scalar behind an interpolation, if any.

        Args:
            path: of the value inside the stage, such as "epochs" or "algorithm.alpha".
        """
        written: Any = self.raw_method["stages"][stage]
        for part in path.split("."):
            written = written.get(part) if isinstance(written, Mapping) else None
        if isinstance(written, str) and written.startswith("${") and written.endswith("}"):
            return written[2:-1]
        return f"method.stages.{stage}.{path}"

    def learners(self, name: str, entry: StageConfig) -> list[Student]:
        """The learner of each repetition: the student, in all that is not said otherwise.

        Raises:
            Refused: `repeat` is neither a number nor a list of what a student may have.
        """
        key, wish = self.blame(name, "repeat"), entry.repeat
        rule = f"0..{_MOST_TIMES}, or a list of mappings with model, start, layers"
        if isinstance(wish, int) and not isinstance(wish, bool) and 0 <= wish <= _MOST_TIMES:
            return [self.config.student] * wish
        if wish is None:
            return [self.config.student]
        if not isinstance(wish, list) or not all(isinstance(own, Mapping) for own in wish):
            raise Refused(f"{key} is no chain.", key=key, value=wish, rule=rule)
        # Whatever has a model of its own keeps none of the student's layers.
        student = vars(self.config.student)
        return [
            construct(
                Student,
                {**student, **({"layers": None} if "model" in own else {}), **own},
                key_of=lambda path: f"{key}.{path}",
                name=key,
            )
            for own in wish
        ]

    def is_earlier(self, wanted: str, name: str) -> bool:
        """Whether the YAML has a stage `wanted` above the stage `name`."""
        order = list(self.config.method["stages"])
        return wanted in order and order.index(wanted) < order.index(name)

    @property
    def name_teachers(self) -> bool:
        """Whether any stage learns from the configured teachers, however indirectly."""
        nodes = self.config.method["stages"].values()
        wanted = {name for node in nodes for name in node.get("teachers", ())}
        return bool(set(TEACHER_WORDS) & wanted)

    def _node(self, name: str) -> Mapping[str, Any]:
        node: Mapping[str, Any] = self.config.method["stages"][name]
        return node


def _check_name(name: object, stages: Mapping[str, Any]) -> None:
    """Refuse what is no name of its own: a student's folder and its curves are called by it."""
    good = isinstance(name, str) and _NAME.fullmatch(name) and name not in TEACHER_WORDS
    turn = _REPETITION.fullmatch(str(name))
    if not good or (turn is not None and turn[1] in stages):
        raise Refused(
            "That is no name for a stage.",
            key="method.stages",
            value=name,
            rule="1 to 60 letters, digits, _ and -; no word for teachers, no repetition of another",
        )
