"""Rows without labels: every method under frozen teachers learns them by the soft term alone."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.learners import same, weights_of, without_dropout
from support.tiny import METHODS, Bench, composed, planned, run
from support.training import Silent, job_of, under_sure_teachers

from distill_runner.errors import Refused
from distill_runner.methods.base import Update
from distill_runner.methods.batch import Batch
from distill_runner.planning.stages import UNLABELLED
from distill_runner.training import loop

REST = "dataset.unlabelled.rest=true"


def reading(method: str, *asked: str) -> list[str]:
    """The method's stages that read rows without labels."""
    _, plan = planned(composed("profile=tiny", f"method={method}", *asked), method)
    return [stage.name for stage in plan.stages if UNLABELLED in stage.rows]


@pytest.mark.parametrize("method", METHODS)
def test_every_stage_under_frozen_teachers_reads_them(method: str) -> None:
    _, plan = planned(composed("profile=tiny", f"method={method}", REST), method)
    frozen = {
        stage.name
        for stage in plan.stages
        if stage.algorithm.needs.teachers == "frozen" and stage.algorithm.needs.labels
    }
    first = {stage.name for stage in plan.stages if stage.rows == (UNLABELLED,)}
    task_texts = {name for name in first if plan.stage(name).data == "task"}
    expected = frozen if not task_texts else set()
    assert set(reading(method, REST)) == expected | first


def test_a_first_stage_on_these_texts_keeps_them_for_itself() -> None:
    texts = "dataset.unlabelled.path=pairs.csv"
    assert reading("distilbert", texts) == ["pretrain"]
    assert reading("distilbert", texts, "method.pretrain_epochs=0") == ["finetune"]


def test_a_method_that_trains_its_teachers_refuses_them(store: Path, tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        run(tmp_path, store, "metadistil", REST)
    assert refused.value.key == "dataset.unlabelled.rest"
    assert "frozen teachers" in str(refused.value)


def mixed_batch(method: str, store: Path, folder: Path) -> tuple[Batch, Update]:
    """Six rows, the last four of them without a label, and the method's update on them."""
    asked = (REST, "method.alpha=0.3", "training.batching=random")
    made = job_of(Bench.make(store, method, asked), folder)
    without_dropout(made.student)
    assert made.rows.labelled is not None
    known, others = np.flatnonzero(made.rows.labelled), np.flatnonzero(~made.rows.labelled)
    rows = np.concatenate([known[:2], others[:4]])
    batch = under_sure_teachers(loop.Loop(made).batches.make(0, 0, 0, rows))
    (update,) = made.algorithm.updates(batch)
    return batch, update


def log_softmax(row: list[float], temperature: float) -> list[float]:
    total = math.log(sum(math.exp(one / temperature) for one in row))
    return [one / temperature - total for one in row]


def test_kd_learns_such_a_row_by_its_teacher_alone(store: Path, tmp_path: Path) -> None:
    batch, update = mixed_batch("kd", store, tmp_path / "job")
    total = 0.0
    student, teacher = batch.student_logits(), batch.joined_teacher_logits(2.0)
    for at, (own, taught) in enumerate(zip(student.tolist(), teacher.tolist(), strict=True)):
        ours, theirs = log_softmax(own, 2.0), log_softmax(taught, 2.0)
        soft = 4 * sum(math.exp(t) * (t - s) for t, s in zip(theirs, ours, strict=True))
        hard = -log_softmax(own, 1.0)[int(batch.labels[at])]
        total += 0.7 * hard + 0.3 * soft if at < 2 else soft
    assert update.loss.item() == pytest.approx(total / 6, rel=1e-4)
    assert batch.labels.tolist()[2:] == [-1] * 4


def test_tmkd_learns_such_a_row_by_its_soft_heads_alone(store: Path, tmp_path: Path) -> None:
    batch, update = mixed_batch("mkd", store, tmp_path / "job")
    heads, teachers = batch.student_head_logits().tolist(), batch.teacher_logits().tolist()
    total = 0.0
    for at in range(6):
        pairs = [
            (own, taught)
            for head, teacher in zip(heads[1:], teachers, strict=True)
            for own, taught in zip(head[at], teacher[at], strict=True)
        ]
        soft = sum((own - taught) ** 2 for own, taught in pairs) / len(pairs)
        hard = -log_softmax(heads[0][at], 1.0)[int(batch.labels[at])]
        total += 0.7 * hard + 0.3 * soft if at < 2 else soft
    assert update.loss.item() == pytest.approx(total / 6, rel=1e-4)


def test_a_batch_in_which_no_row_has_a_label_is_learnt(store: Path, tmp_path: Path) -> None:
    made = job_of(Bench.make(store, "kd", (REST,)), tmp_path / "job")
    assert made.rows.labelled is not None
    others = np.flatnonzero(~made.rows.labelled)[:5]
    (update,) = made.algorithm.updates(loop.Loop(made).batches.make(0, 0, 0, others))
    assert set(update.terms) == {"soft"}
    assert math.isfinite(update.loss.item())


def test_the_hidden_labels_change_nothing(store: Path, tmp_path: Path) -> None:
    after = []
    for name, label in (("as they are", None), ("all replaced", 1)):
        made = job_of(Bench.make(store, "kd", (REST,)), tmp_path / name)
        hidden = made.rows.labels < 0
        assert hidden.sum() > 0
        if label is not None:
            made.rows.labels[hidden] = label
        loop.Loop(made).run(Silent())  # type: ignore[arg-type]
        after.append(weights_of(made.student))
    assert same(*after)


def test_the_plan_says_how_they_are_learnt(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, store, "kd", REST)
    assert "; without a label: 2²·KL(t‖s)" in capsys.readouterr().out
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["data"]["rows"]["unlabelled"] == result["data"]["rows"]["rest"]
    assert result["metrics"]["test"]["n"] == 60


def test_a_larger_ratio_begins_with_the_rows_of_a_smaller_one(store: Path) -> None:
    found = []
    for ratio in (0.1, 0.2):
        bench = Bench.make(store, "kd", (REST, f"dataset.unlabelled.ratio={ratio}"))
        data = bench.runner.parts.data["task"].data
        found.append(list(data.splits[UNLABELLED]["text"]))
        assert len(found[-1]) == round(ratio * data.counts["train"])
    assert found[1][: len(found[0])] == found[0]


def write_rows(folder: Path, label: Callable[[int], str]) -> tuple[str, ...]:
    """A labelled file and a file of other texts, and the settings that name them."""
    texts = [f"the {n % 7} of the {n} is {'good' if n % 2 else 'bad'}" for n in range(240)]
    rows = "".join(f"{text}\t{label(n)}\n" for n, text in enumerate(texts[:200]))
    (folder / "rows.tsv").write_text(f"text\tlabel\n{rows}")
    (folder / "pile.csv").write_text("\n".join(["text", *texts[200:]]) + "\n")
    return (
        *("dataset=files", "dataset.generate=0", f"dataset.path={folder / 'rows.tsv'}"),
        *(f"dataset.unlabelled.path={folder / 'pile.csv'}", "teacher=bert"),
    )


def test_scores_are_learnt_from_a_teacher_where_no_score_is_known(
    store: Path, tmp_path: Path
) -> None:
    asked = (
        *write_rows(tmp_path, lambda n: f"{n % 5 - 2}"),  # a score may be -1
        *("dataset.task=regression", "dataset.metrics=[pearson,spearman]"),
        *("method.soft_loss=mse_logits", "teacher.near_chance=allow"),
    )
    made = job_of(Bench.make(store, "kd", asked), tmp_path / "job")
    assert made.rows.labelled is not None
    assert (made.rows.labels[made.rows.labelled] == -1).any()
    assert (~made.rows.labelled).sum() == 40
    rows = np.concatenate([np.flatnonzero(made.rows.labelled)[:3], np.arange(-3, 0)])
    without_dropout(made.student)
    batch = loop.Loop(made).batches.make(0, 0, 0, rows % len(made.rows.ids))
    (update,) = made.algorithm.updates(batch)
    total = 0.0
    student, teacher = batch.student_logits(), batch.joined_teacher_logits(1.0)
    for at in range(6):
        soft = (student[at] - teacher[at]).square().item()
        hard = (student[at] - batch.labels[at]).square().item()
        total += 0.5 * hard + 0.5 * soft if at < 3 else soft
    assert update.loss.item() == pytest.approx(total / 6, rel=1e-4)


def test_sets_of_labels_are_learnt_from_a_teacher_where_none_is_known(
    store: Path, tmp_path: Path
) -> None:
    asked = (
        *write_rows(tmp_path, lambda n: ("joy", "fear", "joy|fear", "")[n % 4]),
        *("dataset.task=multi_label", "dataset.metrics=[micro_f1]", "method.soft_loss=soft_bce"),
        "teacher.near_chance=allow",
    )
    made = job_of(Bench.make(store, "kd", asked), tmp_path / "job")
    assert made.rows.labelled is not None
    assert set(made.rows.labels[~made.rows.labelled].ravel().tolist()) == {-1.0}
    loop.Loop(made).run(Silent())  # type: ignore[arg-type]
