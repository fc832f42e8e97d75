"""Shows the teachers' scores before the student is trained."""

from __future__ import annotations

from collections.abc import Mapping

from distill_runner.config.schema import Config, NearChance
from distill_runner.console.names import short_name
from distill_runner.errors import Refused
from distill_runner.pipeline.logit_cache import LogitCache
from distill_runner.pipeline.task_data import TaskData
from distill_runner.planning.setting_checks import teacher_on
from distill_runner.planning.stages import PRETRAIN, Stage
from distill_runner.storage.integrity import Say


def show_teacher(
    stage: Stage,
    *,
    config: Config,
    data: Mapping[str, TaskData],
    logits: LogitCache,
    may_have_seen_test_rows: bool,
    say: Say,
) -> None:
    """Print the teacher's score on the validation split.

    Args:
        stage: the teacher's finished stage.
        data: the plan's data sets, by name.
        logits: gives the teacher's logits.
        may_have_seen_test_rows: whether it is a classifier that was trained elsewhere.

    Raises:
        Refused: the teacher is no better than chance, and `near_chance` refuses that.
    """
    name, rows = short_name(stage.name), data[stage.data]
    if not rows.has("validation"):
        say(f"  {name}: no validation rows to score it on")
        return
    if not logits.has(stage.name, "validation"):
        say(f"  {name}: its score is unknown, as it does not answer every validation row")
        return
    predicted = logits.logits(stage.name, "validation").of(rows.ids("validation"))
    found = rows.score(predicted, "validation")
    chance = rows.task.chance_level(found, predicted, rows.data.splits["validation"])
    seen = "; may have seen the test rows" if may_have_seen_test_rows else ""
    score = f"{found.primary_metric} {100 * found.value:.1f}"
    say(f"  {name}: validation {score} {chance.beside}{seen}")
    teacher = teacher_on(config, stage.data)
    if chance.reached and teacher.near_chance is NearChance.refuse:
        prefix = "" if teacher is config.teacher else f"{PRETRAIN}."
        raise Refused(
            f"The teacher {name} is not better than chance: {chance.evidence}.",
            key=f"{prefix}teacher.near_chance",
            value="refuse",
            rule="a teacher must do better than the largest class, a random order, "
            "or one prediction for all rows",
            way_out=f"{_more_training(stage, f'{prefix}teacher')}, another teacher, "
            f"or {prefix}teacher.near_chance=allow",
        )


def _more_training(teacher: Stage, key: str) -> str:
    """Return the override that gives a weak teacher more training."""
    if teacher.answers is not None:
        return "other answers"
    if teacher.already_finetuned:
        return f"{key}.finetune=always"
    limit = teacher.training.max_steps
    if limit is not None:
        return f"a larger {key}.training.max_steps than {limit} (null: no limit)"
    return f"more {key}.training.epochs"
