"""Compares the rows of a data set with the files of answers that teach on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from distill_runner.config.schema import Missing
from distill_runner.data.answers import LINE, Answers, read_answers
from distill_runner.data.load import Prepared
from distill_runner.errors import Refused
from distill_runner.planning.stages import TASK, UNLABELLED, WITHOUT_ANSWER, Plan, Stage
from distill_runner.storage.integrity import Say
from distill_runner.tasks.base import Task

_FEW = 0.01  # share of the rows that may lack an answer unasked
_LABELLED = "train"


def answers_of(stage: Stage, data: Prepared, task: Task) -> Answers:
    """Return the answers of a teacher that is a file.

    Raises:
        Refused: the file is missing or malformed.
    """
    assert stage.answers is not None
    pairs = any("text_pair" in table.column_names for table in data.splits.values())
    try:
        path = Path(stage.answers.path)
        return read_answers(path, task=task, names=data.label_names, pairs=pairs)
    except Refused as refused:
        raise refused.rename_key("teacher.path", stage.learner.config_key) from refused


def count_unanswered(data: Prepared, plan: Plan, name: str, task: Task, say: Say) -> Prepared:
    """Count the training rows that the plan's files of answers lack.

    Args:
        data: the prepared data set.
        plan: the run's plan.
        name: of the data set in the plan.
        task: of the data set.
        say: receives a line for each file that lacks rows.

    Returns:
        The data set, with the number of rows without an answer among its counts.

    Raises:
        Refused: a file is malformed or of other data, or lacks too many rows.
    """
    taught = [stage for stage in plan.stages if stage.data == name and plan.file_teachers(stage)]
    files = list({one.name: one for stage in taught for one in plan.file_teachers(stage)}.values())
    if not files:
        return data
    splits = sorted({split for stage in taught for split in stage.rows})
    known = {
        file.name: {split: answers.positions(table) >= 0 for split, table in data.splits.items()}
        for file in files
        for answers in [answers_of(file, data, task)]
    }
    for file in files:
        _check_same_data(file, known[file.name], data)
        _check_most(file, {split: known[file.name][split] for split in splits}, name)
    together = {
        split: np.all([known[file.name][split] for file in files], axis=0) for split in splits
    }
    lacking = {split: int((~mask).sum()) for split, mask in together.items()}
    if not sum(mask.sum() for mask in together.values()):
        raise _refused(files[0], "No training row is answered.", _rows_in_words(lacking, data))
    for file in files:
        if line := _left_out(known[file.name], splits):
            say(f"{Path(file.learner.id).name} lacks {line}: left out of training")
    unanswered = {f"{split}{WITHOUT_ANSWER}": count for split, count in lacking.items() if count}
    return replace(data, counts={**data.counts, **unanswered})


def _check_same_data(file: Stage, known: Mapping[str, np.ndarray], data: Prepared) -> None:
    """Refuse a file that answers no row at all."""
    if any(mask.any() for mask in known.values()):
        return
    text = next(iter(data.splits.values()))[0]["text"]
    raise _refused(
        file,
        f"'{Path(file.learner.id).name}' answers no text of the data.",
        f"texts letter by letter as in the data's files, such as {text[:60]!r}",
    )


def _check_most(file: Stage, known: Mapping[str, np.ndarray], name: str) -> None:
    """Refuse a file that lacks more than a few of the training rows, unless they are dropped."""
    assert file.answers is not None
    rows = sum(map(len, known.values()))
    lacking = sum(int((~mask).sum()) for mask in known.values())
    if file.answers.missing is Missing.drop or lacking <= _FEW * rows:
        return
    prefix = "" if name == TASK else f"{name}."
    key = f"{prefix}teacher.missing"
    ways = [f"{key}=drop leaves them out"]
    if _LABELLED in known and UNLABELLED in known and not known[_LABELLED].any():
        ways.append(f"{prefix}dataset.split.train=0 lets every labelled row only score")
    raise Refused(
        f"'{Path(file.learner.id).name}' lacks {lacking:,} of {rows:,} training rows: "
        f"{_left_out(known, list(known))}.",
        key=key,
        value=file.answers.missing.value,
        rule=f"an answer for {1 - _FEW:.0%} of the training rows",
        way_out="; ".join([*ways, "or answers for them"]),
    )


def _left_out(known: Mapping[str, np.ndarray], splits: Sequence[str]) -> str:
    """Say how many rows of each split lack an answer; empty if none does."""
    found = {split: int((~known[split]).sum()) for split in splits}
    return " and ".join(
        f"{count:,} of {len(known[split]):,} {_title(split)}"
        for split, count in found.items()
        if count
    )


def _title(split: str) -> str:
    return "rows without labels" if split == UNLABELLED else f"{split} rows"


def _rows_in_words(lacking: Mapping[str, int], data: Prepared) -> str:
    rows = ", ".join(f"{data.counts[split]:,} {_title(split)}" for split in lacking)
    return f"answers for some of {rows}"


def _refused(file: Stage, what: str, rule: str) -> Refused:
    return Refused(
        what,
        key=file.learner.config_key,
        value=file.learner.id,
        rule=rule,
        way_out=f"lines such as {LINE}",
    )
