"""From the configuration to a frozen, printable list of stages.

Every cross-field check is made here. No model and no data is loaded; an algorithm's class
is imported for what it declares, and nothing asks for its name.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from distill_runner.construct import make_algorithm
from distill_runner.errors import Refused
from distill_runner.rules import check_settings
from distill_runner.schema import (
    BuiltModel,
    Combine,
    Config,
    Finetune,
    NearChance,
    Noise,
    NoiseKind,
    Select,
    StageConfig,
    Start,
    Training,
)

if TYPE_CHECKING:
    from distill_runner.methods.base import Algorithm

_FINE_TUNE = {"_target_": "distill_runner.methods.finetune.FineTune"}
DEPLOYED_LAST = "the last stage of a method is what it deploys"


@dataclass(frozen=True)
class ModelSpec:
    """Where a learner's architecture, tokenizer and first weights come from."""

    id: str  # hub id or folder
    start: Start = Start.pretrained
    layers: tuple[int, ...] | None = None
    built: BuiltModel | None = None  # built here instead of fetched
    labels: tuple[str, ...] | None = None  # names of a taken classifier's outputs
    taken: bool = False  # already a classifier, used as it is


@dataclass(frozen=True)
class Stage:
    """Train this learner, from this start, under these teachers, with this algorithm."""

    name: str
    learner: ModelSpec
    algorithm: Algorithm
    training: Training
    seed: int
    start: str | None = None  # the stage whose student goes on; None: the learner's own start
    layers_from: str | None = None  # the stage whose layers the learner starts from
    teachers: tuple[str, ...] = ()  # stages whose students teach
    combine: Combine = Combine.logit_mean
    weights: tuple[float, ...] = ()
    rows: tuple[str, ...] = ("train",)
    noise: Noise | None = None
    first_epoch: int = 0  # epochs that the stages before it have run on this learner

    @property
    def needs_stages(self) -> tuple[str, ...]:
        """The stages whose artifacts this one reads."""
        before = [name for name in (self.start, self.layers_from) if name]
        return (*before, *self.teachers)


@dataclass(frozen=True)
class Plan:
    """What is going to happen, in order."""

    stages: tuple[Stage, ...]
    deployed: str  # name of the stage whose student is the result
    baseline: str | None  # name of the stage that is the same student without a teacher
    teachers: tuple[str, ...]  # names of the configured teachers' stages
    near_chance: NearChance
    method: str

    def stage(self, name: str) -> Stage:
        return next(stage for stage in self.stages if stage.name == name)


def make_plan(
    config: Config,
    *,
    method: str,
    raw_method: Mapping[str, Any],
    is_classifier: Callable[[str, str], bool],
) -> Plan:
    """Turn a configuration into stages.

    Args:
        config: composed and typed.
        method: the option's name, as printed.
        raw_method: the method's node before interpolation, to name the key to blame.
        is_classifier: says of (model, key) whether it is a trained classifier already.

    Raises:
        Refused: settings that contradict each other or break a rule.
    """
    check_settings(config)
    entries = _entries(config, raw_method)
    teachers = _teacher_stages(config, is_classifier) if _wants_teachers(config, entries) else []
    students = _student_stages(config, entries, [stage.name for stage in teachers])
    deployed = students[-1].name
    baseline = "baseline" if any(stage.name == "baseline" for stage in students) else None
    if config.method["stages"].get("baseline") is not None and deployed == "baseline":
        raise Refused(
            "The baseline cannot be the stage that a method deploys.",
            key="method.stages",
            value=list(entries),
            rule=DEPLOYED_LAST,
        )
    return Plan(
        stages=(*teachers, *students),
        deployed=deployed,
        baseline=baseline,
        teachers=tuple(stage.name for stage in teachers),
        near_chance=config.teacher.near_chance,
        method=method,
    )


def _entries(config: Config, raw: Mapping[str, Any]) -> dict[str, StageConfig]:
    """The method's stages that take place, typed, in order."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    entries = {}
    for name, node in config.method["stages"].items():
        try:
            merged = OmegaConf.merge(OmegaConf.structured(StageConfig), node)
            entry = typing.cast(StageConfig, OmegaConf.to_object(merged))
        except OmegaConfBaseException as error:
            field = str(getattr(error, "full_key", "") or "").split("[")[0]
            raise Refused(
                f"The stage {name!r} of this method is not well formed: "
                + str(error).splitlines()[0],
                key=_blame(raw, name, field),
                value=node.get(field) if field else None,
                rule="see the fields of schema.StageConfig",
            ) from None
        if entry.epochs != 0 and entry.when.value != "never":
            entries[name] = entry
    return entries


def _blame(raw: Mapping[str, Any], stage: str, *path: str) -> str:
    """The key that a person would change: the swept scalar behind an interpolation, if any."""
    node: Any = raw["stages"][stage]
    for part in path:
        node = node.get(part) if isinstance(node, Mapping) else None
    if isinstance(node, str) and node.startswith("${") and node.endswith("}"):
        return node[2:-1]
    return ".".join(["method", "stages", stage, *path])


def _wants_teachers(config: Config, entries: Mapping[str, StageConfig]) -> bool:
    wanted = config.student.start is Start.teacher
    wanted = wanted or any("teachers" in entry.teachers for entry in entries.values())
    if wanted and not config.teacher.models:
        raise Refused(
            "This method needs a teacher and none is configured.",
            key="teacher.models",
            value=config.teacher.models,
            rule="one hub id or folder at least",
            way_out="teacher=bert",
        )
    return wanted


def _teacher_stages(config: Config, is_classifier: Callable[[str, str], bool]) -> list[Stage]:
    teacher = config.teacher
    seeds = teacher.seeds or [1] * len(teacher.models)
    stages: list[Stage] = []
    for model, seed in zip(teacher.models, seeds, strict=True):
        built = config.models.get(model)
        taken = teacher.finetune is Finetune.never or (
            teacher.finetune is Finetune.auto
            and built is None
            and is_classifier(model, "teacher.models")
        )
        base = f"teacher/{model.rstrip('/').rsplit('/', 1)[-1]}"
        name = base if base not in [s.name for s in stages] else f"{base}#{len(stages) + 1}"
        stages.append(
            Stage(
                name=name,
                learner=ModelSpec(
                    model,
                    start=Start.random if built else Start.pretrained,
                    built=built,
                    labels=tuple(teacher.labels) if teacher.labels else None,
                    taken=taken,
                ),
                algorithm=make_algorithm(_FINE_TUNE),
                training=_teacher_training(config, taken),
                seed=seed,
            )
        )
    return stages


def _teacher_training(config: Config, taken: bool) -> Training:
    own = config.teacher.training
    return replace(
        config.training,
        epochs=0 if taken else own.epochs,
        batch_size=own.batch_size,
        learning_rate=own.learning_rate,
        accumulate=1,
    )


def _student_stages(
    config: Config, entries: Mapping[str, StageConfig], teachers: list[str]
) -> list[Stage]:
    stages: dict[str, Stage] = {}
    for name, entry in entries.items():
        stages[name] = _student_stage(config, name, entry, stages, teachers)
    if not stages:
        raise Refused(
            "This method has no stage to run.",
            key="method.stages",
            value=list(config.method["stages"]),
            rule=DEPLOYED_LAST,
        )
    return list(stages.values())


def _student_stage(
    config: Config,
    name: str,
    entry: StageConfig,
    earlier: Mapping[str, Stage],
    teachers: list[str],
) -> Stage:
    algorithm = make_algorithm(entry.algorithm, stage=name)
    teaching = _teaching(name, entry, earlier, teachers)
    before = _before(name, entry, earlier, config)
    training = replace(
        config.training,
        epochs=config.training.epochs if entry.epochs is None else entry.epochs,
        learning_rate=entry.learning_rate or config.training.learning_rate,
    )
    _check_algorithm(config, name, algorithm, entry, teaching)
    built = config.models.get(config.student.model)
    start = (
        Start.random
        if built and config.student.start is Start.pretrained
        else (config.student.start)
    )
    noisy = entry.noisy and config.noise.kind is not NoiseKind.none and config.noise.p > 0
    return Stage(
        name=name,
        learner=ModelSpec(
            config.student.model,
            start=start,
            layers=tuple(config.student.layers) if config.student.layers else None,
            built=built,
        ),
        algorithm=algorithm,
        training=training,
        seed=config.seed,
        start=before.name if before else None,
        layers_from=teachers[0] if before is None and start is Start.teacher else None,
        teachers=teaching,
        combine=config.teacher.combine if teaching else Combine.logit_mean,
        weights=_weights(config, teaching, teachers),
        rows=("train", "quiz") if entry.with_quiz_rows else ("train",),
        noise=config.noise if noisy else None,
        first_epoch=before.first_epoch + before.training.epochs if before else 0,
    )


def _teaching(
    name: str, entry: StageConfig, earlier: Mapping[str, Stage], teachers: list[str]
) -> tuple[str, ...]:
    names: list[str] = []
    for wanted in entry.teachers:
        if wanted == "teachers":
            names += teachers
        elif wanted in earlier:
            names.append(wanted)
        else:
            raise Refused(
                f"The stage {name!r} names a teacher that does not exist by then.",
                key=f"method.stages.{name}.teachers",
                value=wanted,
                rule="teachers, or an earlier stage: " + ", ".join(earlier),
            )
    return tuple(names)


def _before(
    name: str, entry: StageConfig, earlier: Mapping[str, Stage], config: Config
) -> Stage | None:
    """The stage whose student goes on here; a stage left out passes on its own start."""
    start = entry.start
    stages = config.method["stages"]
    while start != "student" and start not in earlier:
        if start not in stages or start == name:
            raise Refused(
                f"The stage {name!r} starts from a stage that does not exist by then.",
                key=f"method.stages.{name}.start",
                value=start,
                rule="student, or an earlier stage: " + ", ".join(earlier),
            )
        start = stages[start].get("start", "student")
    return earlier.get(start)


def _weights(config: Config, teaching: tuple[str, ...], teachers: list[str]) -> tuple[float, ...]:
    given = config.teacher.weights
    weights = given if given and list(teaching) == teachers else [1.0] * len(teaching)
    return tuple(weight / sum(weights) for weight in weights)


def _check_algorithm(
    config: Config, name: str, algorithm: Algorithm, entry: StageConfig, teaching: tuple[str, ...]
) -> None:
    needs = algorithm.needs
    if (needs.teachers == "none") != (not teaching):
        raise Refused(
            f"The stage {name!r} and its algorithm disagree about teachers.",
            key=f"method.stages.{name}.teachers",
            value=entry.teachers,
            rule="none" if needs.teachers == "none" else "one at least",
        )
    algorithm.check_combination(config.teacher.combine.value)
    if config.training.accumulate > 1 and not algorithm.accumulates:
        raise Refused(
            "Accumulation would give every micro-batch a pilot step of its own, "
            "which is another algorithm.",
            key="training.accumulate",
            value=config.training.accumulate,
            rule=f"1 for the stage {name!r}",
            way_out="training.accumulate=1, and a smaller training.batch_size if memory is short",
        )
    quiz = config.dataset.split.quiz
    if needs.quiz and not quiz:
        raise Refused(
            "This method needs a quiz set.",
            key="dataset.split.quiz",
            value=quiz,
            rule="rows held out of training, above 0",
            way_out="dataset.split.quiz=100",
        )
    if entry.with_quiz_rows and (needs.quiz or not quiz):
        raise Refused(
            "There are no quiz rows that this stage may train on.",
            key="method.with_quiz_rows",
            value=True,
            rule="needs dataset.split.quiz above 0, and an algorithm that holds no quiz",
        )
    if config.training.select is Select.best_validation and config.dataset.split.validation == 0:
        raise Refused(
            "Nothing can be selected on an empty validation split.",
            key="training.select",
            value="best_validation",
            rule="needs dataset.split.validation",
            way_out="training.select=last",
        )
