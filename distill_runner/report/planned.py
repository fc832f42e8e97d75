"""Shows a plan as a table and a few lines, before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from distill_runner.config.schema import BaselineSteps, Config
from distill_runner.console.names import (
    data_name,
    join_names,
    model_name,
    random_line,
    short_name,
    shorten_list,
    stage_name,
    with_layers,
)
from distill_runner.console.printable import on_one_line
from distill_runner.planning.baseline import begin_alike, matched_baseline
from distill_runner.planning.file_teachers import learns_no_labels
from distill_runner.planning.stages import TASK, UNLABELLED, Plan, Stage, passes_of, steps_of
from distill_runner.report.fitted import Fitted, Row

_NAMES_SHOWN, _LONGEST_NAME = 12, 40
_TEACHERS_NAMED, _UNKNOWN = 3, "not known yet"

Counts = Mapping[str, Mapping[str, int]]  # rows of each split of each data set


def plan_table(plan: Plan, config: Config, counts: Counts | None) -> Fitted:
    """Return a table with a row per stage: model, teachers, epochs, steps, rate and seed.

    A setting that all stages share is not a column, but is stated below (`plan_lines`).

    Args:
        plan: the stages.
        config: gives the sizes of the splits, if it states them.
        counts: rows of every split; None before the data is read.
    """
    rows = _rows(plan, config, counts)
    empty = [column for column in rows[0] if all(row[column] == "–" for row in rows)]
    left_out = {*empty, *_alike(rows)}
    columns = [column for column in rows[0] if column not in left_out]
    return Fitted(
        f"Plan: {plan.method} on {data_name(config.dataset)}",
        columns,
        [Row([row[column] for column in columns]) for row in rows],
        names=("stage", "model", "taught by"),
    )


def plan_lines(plan: Plan, config: Config, counts: Counts | None) -> list[str]:
    """State the settings that all stages share, the random models and the cost of each stage."""
    alike = _alike(_rows(plan, config, counts))
    lines = []
    if alike:
        shared = join_names(
            [
                f"{value} {column}" if column == "epochs" else f"{column} {value}"
                for column, value in alike.items()
            ]
        )
        lines.append(f"every stage: {shared}")
    random = _random_models(plan)
    if random:
        lines.append(f"models: {random}")
    cost = _cost(plan, config, counts)
    return [*lines, cost] if cost else lines


def _rows(plan: Plan, config: Config, counts: Counts | None) -> list[dict[str, str]]:
    found = []
    for stage in plan.stages:
        if stage.compared_with:
            found.append(_row_of_baseline(stage, plan, config, counts))
            continue
        row = _row(stage, _rows_of(stage, plan, config, counts))
        most = _most_steps(stage, counts) if stage.chooses_rows else None
        found.append(row if most is None else row | {"steps": f"≤ {most:,}"})
    return found


def _alike(rows: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return the settings that all stages share; none if there is only one stage."""
    if len(rows) < 2:
        return {}
    shared = ("epochs", "learning rate", "seed")
    return {name: rows[0][name] for name in shared if len({row[name] for row in rows}) == 1}


def _random_models(plan: Plan) -> str | None:
    models = [stage for stage in plan.stages if stage.answers is None]
    names = {stage.name: model_name(stage.learner.id) for stage in models}
    random = [name for stage, name in names.items() if plan.from_random(stage)]
    return random_line(random, list(names.values()))


def plan_notes(plan: Plan, config: Config, counts: Counts | None) -> list[str]:
    """State which facts about the baseline are only known once the deployed stage is known."""
    if learns_no_labels(config, TASK):
        return ["baseline: none, since no labelled row is learnt"]
    if plan.baseline is None:
        return []
    baseline = plan.stage(plan.baseline)
    if _baseline(baseline, plan, config, counts) is not None:
        return []
    matched = config.evaluation.baseline_steps is not BaselineSteps.epochs
    candidates = baseline.compared_with
    kept = candidates[0]
    if len(candidates) > 1:
        kept = f"the {plan.stage(kept).group} that is kept"
    taken = [] if begin_alike(plan, candidates) else [f"the model of {kept}"]
    if matched:
        taken.append(f"as many steps as {kept} made, or its own if they are more")
    return [f"baseline: {'; '.join(taken)}"] if taken else []


def _row_of_baseline(
    stage: Stage, plan: Plan, config: Config, counts: Counts | None
) -> dict[str, str]:
    """Return the baseline's row, with an upper bound of its steps if they are not known yet."""
    found, rows = _baseline(stage, plan, config, counts), _rows_of(stage, plan, config, counts)
    if found is not None:
        return _row(found, rows)
    row = _row(stage, None) | {"epochs": "?"}
    if not begin_alike(plan, stage.compared_with):
        row["model"] = f"as {plan.stage(stage.compared_with[0]).group}"
    most = [
        _baseline(replace(stage, compared_with=(one,)), plan, config, counts, most=True)
        for one in stage.compared_with
    ]
    known = [steps_of(one.training, rows) for one in most if one is not None and rows is not None]
    return row | ({"steps": f"≤ {max(known):,}"} if known else {})


def _baseline(
    stage: Stage, plan: Plan, config: Config, counts: Counts | None, *, most: bool = False
) -> Stage | None:
    """Return the baseline as it will be trained; None if that is not known yet.

    Args:
        stage: the baseline as planned.
        plan: the whole plan.
        config: the whole configuration.
        counts: rows of every split; None before the data is read.
        most: assume the largest possible number of steps.
    """
    own = _rows_of(stage, plan, config, counts)
    if own is None:
        return None

    def steps(one: Stage) -> int | None:
        if most and one.chooses_rows:
            return _most_steps(one, counts)
        rows = _rows_of(one, plan, config, counts)
        return None if rows is None else steps_of(one.training, rows)

    length = config.evaluation.baseline_steps
    return matched_baseline(stage, plan, stage.compared_with, rows=own, steps=steps, length=length)


def _most_steps(stage: Stage, counts: Counts | None) -> int | None:
    """Bound the steps of a stage whose teacher chooses rows from a pool; None if unknown."""
    if counts is None:
        return None
    labelled = sum(counts[stage.data][split] for split in stage.rows if split != UNLABELLED)
    pool = stage.algorithm.needs.pool
    assert pool is not None
    most = pool.most_rows(labelled, counts[stage.data].get(UNLABELLED, 0))
    return steps_of(stage.training, most)


def same_starts(plan: Plan) -> list[str]:
    """Warn about every student that starts from the same weights as a teacher."""
    teachers = [plan.stage(name) for name in plan.teachers]
    return [
        f"WARNING: {stage.name} and {teacher.name} start from the same weights, the new head "
        f"included: both have seed {stage.seed} and the same model. Choose another seed, or "
        "teacher.seeds=null."
        for stage in plan.stages
        if not stage.is_teacher and stage.earlier_stage is None and stage.training.epochs
        for teacher in teachers
        if _start(stage) == _start(teacher) and not teacher.is_given
    ]


def _start(stage: Stage) -> tuple[object, ...]:
    """Return what determines the first weights of a learner, apart from other stages."""
    spec = stage.learner
    return spec.id.rstrip("/"), stage.initialisation, spec.layers, spec.built, stage.seed


def classes_line(names: Sequence[str], *, of: str) -> str:
    """List the number of classes and their names; "output: score" for regression.

    Args:
        names: of the outputs, in order.
        of: which data set, such as " of pretrain".
    """
    if len(names) == 1:
        return f"output{of}: {names[0]}"
    shown = [on_one_line(name[:_LONGEST_NAME]) for name in names[:_NAMES_SHOWN]]
    more = [f"{len(names) - _NAMES_SHOWN} more"] if len(names) > _NAMES_SHOWN else []
    return f"classes{of}: {len(names)} ({', '.join(shown + more)})"


def _rows_of(stage: Stage, plan: Plan, config: Config, counts: Counts | None) -> int | None:
    if stage.chooses_rows:
        return None  # the teacher chooses them
    if counts is not None:
        return plan.rows_of(stage, counts[stage.data])
    if UNLABELLED in stage.rows:
        return None
    dataset = config.dataset if stage.data == TASK else config.pretrain.dataset
    assert dataset is not None
    sizes = [getattr(dataset.split, split) for split in stage.rows]
    if any(size is None or 0 < size < 1 for size in sizes):
        return None
    return int(sum(sizes))


def _row(stage: Stage, rows: int | None) -> dict[str, str]:
    training, model = stage.training, with_layers(stage.learner.id, stage.learner.layers)
    name = stage_name(stage.name)
    if stage.answers is not None:
        nothing = dict.fromkeys(("taught by", "epochs", "steps", "learning rate", "seed"), "–")
        return {"stage": name, "model": model, **nothing}
    return {
        # A teacher is named after its model, which has its own column; a number may remain.
        "stage": name.replace(f"teacher {model}", "teacher ").strip(),
        "model": f"{model}, as it is" if stage.already_finetuned else model,
        "taught by": _taught_by(stage) or "–",
        "epochs": str(training.epochs),
        "steps": "?" if rows is None else f"{steps_of(training, rows):,}",
        "learning rate": f"{training.learning_rate:g}",
        "seed": str(stage.seed),
    }


def _taught_by(stage: Stage) -> str:
    names = [short_name(name) for name in stage.teachers]
    if stage.backbone_of:
        names.append(f"{short_name(stage.backbone_of)}, not fine-tuned")
    if len(names) > _TEACHERS_NAMED:
        return f"{len(names)} teachers"
    return join_names(names)


def _cost(plan: Plan, config: Config, counts: Counts | None) -> str | None:
    """State the cost of each stage, equal ones together; None while nothing is known."""
    found: dict[str, list[str]] = {}
    for stage in plan.stages:
        if not stage.training.epochs:
            continue
        known = (_baseline(stage, plan, config, counts) or stage) if stage.compared_with else stage
        name = short_name(stage.name)
        rows = _rows_of(known, plan, config, counts)
        cost = _UNKNOWN if rows is None else _cost_of(known, rows, plan)
        found.setdefault(cost, []).append(name)
    if set(found) <= {_UNKNOWN}:
        return None
    costs = "; ".join(
        f"{shorten_list(names, each=cost != _UNKNOWN)} {cost}" for cost, names in found.items()
    )
    return f"cost in rows read (a backward pass counts as two): {costs}"


def _cost_of(stage: Stage, rows: int, plan: Plan) -> str:
    own, teachers = passes_of(stage, rows)
    if not teachers or plan.file_teachers(stage):
        return f"{own:,.0f}"
    each = "each teacher" if len(stage.teachers) > 1 else _taught_by(stage)
    return f"{own:,.0f} by the student and {teachers:,.0f} by {each}"
