"""Makes the plan of a configuration, and checks every rule between its settings.

No model and no data are loaded. An algorithm's class is imported for its declarations; no code here
depends on its name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from distill_runner.config.schema import Config, StageConfig, Start
from distill_runner.errors import Refused
from distill_runner.planning.baseline import begin_alike, with_first_model
from distill_runner.planning.earlier_stages import EarlierStages
from distill_runner.planning.file_teachers import (
    check_file_teachers,
    check_training_rows,
    check_weights,
    learns_no_labels,
)
from distill_runner.planning.method_yaml import DEPLOYED, MethodYaml
from distill_runner.planning.setting_checks import check_settings
from distill_runner.planning.stage_checks import check_assistants
from distill_runner.planning.stages import BASELINE, PRETRAIN, TASK, Plan, Stage
from distill_runner.planning.student_stages import StudentPlanner, data_of
from distill_runner.planning.teacher_stages import MakeAlgorithm, TeacherPlanner
from distill_runner.planning.trials import add_trials

if TYPE_CHECKING:
    from distill_runner.methods.base import Algorithm


def make_plan(
    config: Config,
    *,
    method: str,
    raw_method: Mapping[str, Any],
    make_algorithm: MakeAlgorithm,
    is_classifier: Callable[[str, str], bool],
) -> Plan:
    """Plan the stages of a configuration.

    Args:
        config: composed and typed.
        method: the option's name, as printed.
        raw_method: the method's node before interpolation, to name the key to blame.
        make_algorithm: builds an algorithm and checks its arguments.
        is_classifier: whether (model, key) is already a trained classifier.

    Raises:
        Refused: settings that contradict each other or break a rule.
    """
    check_settings(config)
    yaml = MethodYaml(config, raw_method)
    entries = yaml.active_entries()
    if learns_no_labels(config, TASK):
        entries.pop(BASELINE, None)  # without labels there is nothing to compare with
    # Algorithms are checked first, before the hub may be asked about a teacher.
    algorithms = {
        name: make_algorithm(entry.algorithm, stage=name, key_of=yaml.keys_of_algorithm(name))
        for name, entry in entries.items()
    }
    teachers = TeacherPlanner(config, make_algorithm, is_classifier)
    pretrains = any(data_of(config, entry) == PRETRAIN for entry in entries.values())
    earlier = EarlierStages(
        yaml,
        teachers.stages(TASK) if _wants_teachers(config, yaml, algorithms) else (),
        teachers.stages(PRETRAIN) if pretrains else (),
    )
    students = StudentPlanner(config, yaml, algorithms, earlier)
    for name, entry in entries.items():
        if name != list(entries)[-1] and entry.repeat and not entry.untrained:
            assistants = yaml.learners(name, entry)
            check_assistants(assistants, config.student, key=yaml.config_key(name, "repeat"))
        students.add(name, entry)
    plan = _assembled(config, yaml, entries, earlier, method=method)
    check_file_teachers(plan, config)
    check_weights(plan, config)
    check_training_rows(plan, config)
    return add_trials(plan, config)


def _wants_teachers(config: Config, yaml: MethodYaml, algorithms: Mapping[str, Algorithm]) -> bool:
    """Return whether the run uses the configured teachers.

    Raises:
        Refused: it does, and none is configured.
    """
    copied = config.student.start in (Start.teacher, Start.pretrained_teacher)
    language = any(algorithm.needs.language for algorithm in algorithms.values())
    wanted = copied or yaml.needs_teachers or language
    if wanted and not config.teacher.count:
        raise Refused(
            "This method needs a teacher and none is configured.",
            key="teacher.models",
            value=config.teacher.models,
            rule="at least one hub id or folder, or a file of answers in teacher.path",
            way_out="teacher=bert, or teacher=file teacher.path=answers.jsonl",
        )
    return wanted


def _assembled(
    config: Config,
    yaml: MethodYaml,
    entries: Mapping[str, StageConfig],
    earlier: EarlierStages,
    *,
    method: str,
) -> Plan:
    """Assemble the plan, whose last stage is deployed."""
    students = list(earlier.students)
    deployable = students and students[-1] != BASELINE
    if not deployable or not earlier.students[students[-1]].reads_task:
        raise Refused(
            "This method has no stage to deploy.",
            key="method.stages",
            value=list(config.method["stages"]),
            rule=DEPLOYED,
        )
    name, last = list(entries.items())[-1]
    repetitions = earlier.repetitions(name)
    plan = Plan(
        stages=(*earlier.pretrain_teachers, *earlier.teachers, *earlier.students.values()),
        deployed=students[-1],
        baseline=BASELINE if BASELINE in students else None,
        teachers=tuple(earlier.teacher_names),
        pretrain_teachers=tuple(stage.name for stage in earlier.pretrain_teachers),
        members=repetitions if last.together else (),
        chain=repetitions if "previous" in last.teachers else (),
        stopping=_stopping(config, repetitions, key=yaml.config_key(name, "stop"))
        if last.stop
        else (),
        method=method,
    )
    return plan if plan.baseline is None else _with_comparison(plan, plan.baseline)


def _stopping(config: Config, repetitions: tuple[str, ...], *, key: str) -> tuple[str, ...]:
    """Return the repetitions that stop once validation gets no better; none if there is only one.

    Raises:
        Refused: there are no validation rows.
    """
    if len(repetitions) < 2:
        return ()
    if config.dataset.split.validation == 0:
        raise Refused(
            "Stopping needs validation rows, and there are none.",
            key=key,
            value=True,
            rule="needs dataset.split.validation",
            way_out=f"{key}=false",
        )
    return repetitions


def _with_comparison(plan: Plan, name: str) -> Plan:
    """Name the stages that the baseline is compared with; move it after them if it must wait."""
    candidates = plan.candidates
    baseline: Stage = replace(
        with_first_model(plan.stage(name), plan, plan.deployed), compared_with=candidates
    )
    others = [stage for stage in plan.stages if stage.name != name]
    # Two facts are only known late: the deployed model, and how many rows of a pool it reads.
    waits = not begin_alike(plan, candidates) or any(
        plan.stage(candidate).chooses_rows for candidate in candidates
    )
    position = len(others) if waits else plan.stages.index(plan.stage(name))
    return replace(plan, stages=(*others[:position], baseline, *others[position:]))
