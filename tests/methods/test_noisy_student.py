"""Noisy Student: which rows of the pool are kept, how they are labelled, and the loss on them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from support.algorithms import with_defaults
from support.tiny import SURE, Bench, composed, planned, run
from support.training import job_of, under_sure_teachers
from torch import nn

from distill_runner.errors import Refused
from distill_runner.methods.base import NothingToLearn, OfferedRows
from distill_runner.methods.noisy_student import NoisyStudent
from distill_runner.models.learner import Learner
from distill_runner.training import loop


def logits_of(confidences: list[tuple[int, float]]) -> np.ndarray:
    """Logits of two classes under which the teacher is that sure of that class."""
    rows = []
    for predicted, sure in confidences:
        logit = math.log(sure / (1 - sure))
        rows.append([logit, 0.0] if predicted == 0 else [0.0, logit])
    return np.array(rows, dtype=np.float32)


def offered(logits: np.ndarray) -> OfferedRows:
    return OfferedRows(
        labels=LABELS, classes=("dull", "fine"), teacher="generation-1", logits=lambda: logits
    )


# Two labelled rows, then a pool of six: class 0 at .9 .95 .7 .85, class 1 at .99 .6.
LABELS = np.array([0, 1, -1, -1, -1, -1, -1, -1])
LOGITS = logits_of(
    [(0, 0.6), (1, 0.6), (0, 0.9), (0, 0.95), (0, 0.7), (0, 0.85), (1, 0.99), (1, 0.6)]
)


def test_unsure_rows_are_left_out_and_every_class_is_taken_alike() -> None:
    choice = with_defaults(NoisyStudent, ratio=2.0, min_confidence=0.8).rows(offered(LOGITS))
    # Two of each class: the surest of class 0, the only one of class 1 twice.
    assert choice.positions.tolist() == [0, 1, 3, 2, 6, 6]
    assert choice.counts == {
        "labelled": 2,
        "pool": 6,
        "sure": 4,
        "sure of dull": 3,
        "sure of fine": 1,
        "pseudo-labelled": 4,
        "of them distinct": 3,
    }


def test_without_balance_the_surest_are_taken_whatever_their_class() -> None:
    method = with_defaults(NoisyStudent, ratio=1.5, min_confidence=0.8, balance=False)
    assert method.rows(offered(LOGITS)).positions.tolist() == [0, 1, 6, 3, 2]


def test_the_authors_threshold_filters_nothing_with_two_classes() -> None:
    choice = with_defaults(NoisyStudent, min_confidence=0.3).rows(offered(LOGITS))
    assert choice.counts["sure"] == choice.counts["pool"] == 6


def test_a_teacher_that_is_sure_of_nothing_is_named_and_refused() -> None:
    with pytest.raises(NothingToLearn) as refused:
        with_defaults(NoisyStudent, min_confidence=0.995).rows(offered(LOGITS))
    assert refused.value.what == "generation-1 is sure of no row of the pool."
    assert "0.95 (dull), 0.99 (fine)" in str(refused.value)


def test_balance_does_not_leave_a_class_without_pseudo_labelled_rows_in_silence() -> None:
    unsure = logits_of([(0, 0.6), (1, 0.6), *[(0, 0.9)] * 4, (1, 0.6), (1, 0.55)])
    with pytest.raises(NothingToLearn) as refused:
        with_defaults(NoisyStudent, min_confidence=0.8).rows(offered(unsure))
    assert refused.value.what == "generation-1 is sure of no row of the pool as fine."
    assert "0.60 (fine)" in str(refused.value)
    assert "method.balance=false" in str(refused.value)
    left = with_defaults(NoisyStudent, min_confidence=0.8, balance=False).rows(offered(unsure))
    assert left.counts["sure of fine"] == 0


def test_a_ratio_that_takes_no_row_of_a_class_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        with_defaults(NoisyStudent, ratio=0.5).rows(offered(LOGITS))
    assert refused.value.key == "method.ratio"


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("combine", ["logit_mean", "prob_mean"])
def test_the_loss_equals_plain_arithmetic(
    hard: bool, combine: str, store: Path, tmp_path: Path
) -> None:
    asked = (
        *(f"method.hard={hard}", "method.temperature=2", "method.label_smoothing=0.2"),
        *("method.generations=1", "teacher=bert+roberta", f"teacher.combine={combine}"),
    )
    made = job_of(Bench.make(store, "noisy_student", asked), tmp_path / "job")
    for part in made.student.module.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    training = loop.Loop(made)
    labels = made.rows.labels
    rows = np.concatenate([np.flatnonzero(labels >= 0)[:3], np.flatnonzero(labels < 0)[:3]])
    batch = under_sure_teachers(training.batches.make(0, 0, 0, rows))
    (update,) = made.algorithm.updates(batch)
    student = batch.student_logits().detach().double().tolist()
    each = batch.teacher_logits().double()
    assert len(each) == 2
    if combine == "prob_mean":
        teacher = (2 * (each / 2).softmax(-1).mean(0).log()).tolist()
    else:
        teacher = each.mean(0).tolist()
    total = 0.0
    for own, taught, label in zip(student, teacher, batch.labels.tolist(), strict=True):
        log_probs = [one - math.log(sum(map(math.exp, own))) for one in own]
        if label >= 0 or hard:
            right = label if label >= 0 else max(range(2), key=taught.__getitem__)
            targets = [0.8 * (at == right) + 0.2 / 2 for at in range(2)]
        else:
            softened = [math.exp(one / 2) for one in taught]
            targets = [one / sum(softened) for one in softened]
        total -= sum(t * p for t, p in zip(targets, log_probs, strict=True))
    assert update.loss.item() == pytest.approx(total / 6, rel=1e-5)


def test_no_hidden_label_reaches_the_stage(store: Path, tmp_path: Path) -> None:
    bench = Bench.make(store, "noisy_student")
    made = job_of(bench, tmp_path / "job")
    pool = set(bench.runner.parts.data["task"].ids("unlabelled"))
    assert pool
    for row, label in zip(made.rows.ids, made.rows.labels, strict=True):
        assert (label == -1) == (row in pool)


def test_the_copies_of_a_repeated_row_are_read_with_different_noise(
    store: Path, tmp_path: Path
) -> None:
    noise = ("noise=mask", "noise.p=0.5", "noise.seen_by=student")
    asked = (*noise, *SURE, "method.generations=1")
    rows = job_of(Bench.make(store, "noisy_student", asked), tmp_path / "job").rows
    first = next(at for at, row in enumerate(rows.ids) if row in rows.ids[at + 1 :])
    same = [at for at, row in enumerate(rows.ids) if row == rows.ids[first]]
    read = {rows.student.inputs(np.array([at]), 0)["input_ids"].numpy().tobytes() for at in same}
    assert len(same) > 2
    assert len(read) > 1


def test_the_teacher_labels_clean_text_without_dropout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[tuple[bool, bytes]] = []
    logits = Learner.logits

    def watched(self: Learner, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        if self.name == "bert-base-uncased":
            read.append((self.module.training, inputs["input_ids"].numpy().tobytes()))
        return logits(self, inputs)

    found = []
    for noise in ((), ("noise=delete", "noise.p=0.5", "noise.seen_by=student")):
        read.clear()
        asked = ("teacher=bert", "method.generations=1", *noise)
        bench = Bench.make(tmp_path / "store", "noisy_student", asked)
        job_of(bench, tmp_path / str(len(noise)))  # the teacher is trained by now
        with monkeypatch.context() as patch:
            patch.setattr(Learner, "logits", watched)
            name = bench.plan.teachers[0]
            bench.runner.parts.logits.predict(
                bench.runner.parts.factory.load_finished(name), bench.plan.stage(name), "unlabelled"
            )
        assert not any(training for training, _ in read)
        found.append([text for _, text in read])
    assert found[0] == found[1]
    assert found[0]


def test_each_generations_teacher_is_the_student_of_the_one_before(
    store: Path, tmp_path: Path
) -> None:
    run(tmp_path / "run", store, "noisy_student", "teacher=bert", "method.stop=false")
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    generations = [name for name in result["stages"] if name.startswith("generation-")]
    assert generations == ["generation-1", "generation-2", "generation-3"]
    plan = json.loads((tmp_path / "run" / "plan.json").read_text())["stages"]
    taught = {stage["name"]: stage["teachers"] for stage in plan}
    assert taught["generation-2"] == ["generation-1"]
    assert taught["generation-3"] == ["generation-2"]
    assert [hop["name"] for hop in result["between"]] == ["generation-1", "generation-2"]
    assert result["between"][0]["chosen_rows"]["labelled"] == 64
    assert result["training"]["counts"]["pool"] == 20


@pytest.mark.parametrize(
    ("asked", "key"),
    [
        (["method.ratio=0"], "method.ratio"),
        (["method.min_confidence=1"], "method.min_confidence"),
        (["method.label_smoothing=-0.1"], "method.label_smoothing"),
        (["method.temperature=0"], "method.temperature"),
        (["method.stochastic_depth=1"], "method.stochastic_depth"),
        (["method.stochastic_depth=nan"], "method.stochastic_depth"),
        (["runtime.compile=true"], "runtime.compile"),
        (["noise=delete", "noise.p=0.1"], "noise.seen_by"),
    ],
)
def test_what_cannot_be_is_refused(asked: list[str], key: str) -> None:
    with pytest.raises(Refused) as refusal:
        planned(composed("method=noisy_student", "teacher=bert", *asked), "noisy_student")
    assert f"{key} = " in str(refusal.value)


def test_a_split_that_leaves_no_pool_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(Refused) as refusal:
        run(tmp_path / "r", tmp_path / "s", "noisy_student", "dataset.split.train=84")
    assert "dataset.split.train = 84" in str(refusal.value)
    assert not list((tmp_path / "s" / "stages").glob("*/model"))


def bench_of_chain(tmp_path: Path, scores: list[float], monkeypatch: pytest.MonkeyPatch) -> Bench:
    asked = ("method.generations=4",)
    bench = Bench.make(tmp_path, "noisy_student", asked)
    by_name = {f"generation-{at + 1}": score for at, score in enumerate(scores)}
    monkeypatch.setattr(bench.runner._chains, "_on_validation", by_name.__getitem__)
    return bench


@pytest.mark.parametrize(
    ("scores", "done", "kept"),
    [
        ([0.5, 0.7, 0.6, 0.9], 3, "generation-2"),
        ([0.5, 0.5, 0.9, 0.9], 2, "generation-1"),
        ([0.5, 0.6, 0.7, 0.8], 4, "generation-4"),
    ],
)
def test_generations_end_where_validation_gets_no_better_and_the_best_is_kept(
    tmp_path: Path,
    scores: list[float],
    done: int,
    kept: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outcome = bench_of_chain(tmp_path, scores, monkeypatch).runner.run()
    generations = [name for name in outcome.artifacts if name.startswith("generation")]
    assert len(generations) == done
    assert outcome.plan.deployed == kept
    assert outcome.plan.stopping == tuple(generations)


def test_scores_that_chose_a_generation_are_not_reported_as_results(
    store: Path, tmp_path: Path
) -> None:
    run(tmp_path / "run", store, "noisy_student", "method.generations=2")
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert "validation" not in result["metrics"]
    assert "selection_on_validation" in result["metrics"]
    assert result["stopped"]["kept"] in result["stopped"]["validation"]


def test_nothing_is_stopped_without_validation_rows(tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        Bench.make(tmp_path, "noisy_student", ("dataset.split.validation=0",))
    assert refused.value.key == "method.stop"


def test_by_default_the_student_is_as_large_as_its_teacher_and_noise_is_on() -> None:
    config, plan = planned(composed("method=noisy_student"), "noisy_student")
    assert config.teacher.models == [config.student.model] == ["bert-base-uncased"]
    noise = plan.stage(plan.deployed).noise
    assert noise is not None
    assert (noise.kind.value, noise.seen_by.value) == ("mask", "student")


def test_what_is_typed_stands_over_the_methods_own_choice() -> None:
    asked = ("teacher=roberta", "student=distilbert", "noise=none")
    config, plan = planned(composed(*asked, "method=noisy_student"), "noisy_student")
    assert config.teacher.models == ["roberta-base"]
    assert config.student.model == "distilbert-base-uncased"
    assert plan.stage(plan.deployed).noise is None
