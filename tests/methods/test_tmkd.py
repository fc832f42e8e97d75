"""TMKD's heads, losses and stages against plain arithmetic (Yang et al. 2020, eqs. 2–6)."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from support.algorithms import with_defaults
from support.learners import without_dropout
from support.tiny import Bench, composed, planned, run
from support.training import job_of
from transformers import AutoModelForSequenceClassification

from distill_runner.errors import Refused
from distill_runner.methods.tmkd import SoftHeads
from distill_runner.models import heads
from distill_runner.planning.initialisation import EarlierStudent, RandomWeights
from distill_runner.tasks.classification import Classification
from distill_runner.training import loop

TWO = ("teacher=bert+roberta",)


def slow_loss(
    logits: list[list[list[float]]],
    targets: list[list[list[float]]],
    labels: list[int],
    alpha: float,
) -> float:
    """[heads][batch][classes], number by number; the golden head is the first."""
    batch, classes = len(labels), len(logits[0][0])
    soft = 0.0
    for head, target in zip(logits[1:], targets, strict=True):
        own = 0.0
        for row in range(batch):
            own += sum((head[row][c] - target[row][c]) ** 2 for c in range(classes)) / classes
        soft += own / batch / len(targets)
    hard = 0.0
    for row, label in enumerate(labels):
        total = sum(math.exp(value) for value in logits[0][row])
        hard -= math.log(math.exp(logits[0][row][label]) / total) / batch
    return (1 - alpha) * hard + alpha * soft


@pytest.mark.parametrize("alpha", [0.1, 0.3, 0.9])
def test_the_loss_of_both_kinds_of_heads_is_the_papers(alpha: float) -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(4, 5, 3, generator=generator, dtype=torch.float64)
    targets = torch.randn(3, 5, 3, generator=generator, dtype=torch.float64)
    labels = torch.tensor([0, 2, 1, 1, 0])
    loss, _ = with_defaults(SoftHeads, alpha=alpha).loss(Classification(), logits, targets, labels)
    expected = slow_loss(logits.tolist(), targets.tolist(), labels.tolist(), alpha)
    assert float(loss) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("averaged", [False, True])
def test_each_head_learns_from_its_own_teacher_or_one_from_their_weighted_mean(
    averaged: bool, store: Path, tmp_path: Path
) -> None:
    method = "one_avg_on_one" if averaged else "mkd"
    asked = (*TWO, "teacher.weights=[0.8,0.2]") if averaged else TWO
    made = job_of(Bench.make(store, method, asked), tmp_path / "job")
    without_dropout(made.student)
    batch = loop.Loop(made).batches.make(0, 0, 0, np.arange(5))
    (update,) = made.algorithm.updates(batch)
    logits, taught = batch.student_head_logits().tolist(), batch.teacher_logits()
    assert not torch.equal(taught[0], taught[1])
    targets = (0.8 * taught[:1] + 0.2 * taught[1:]) if averaged else taught
    expected = slow_loss(logits, targets.tolist(), batch.labels.tolist(), 0.9)
    assert update.loss.item() == pytest.approx(expected, rel=1e-5)


def test_soft_heads_that_would_learn_nothing_are_refused() -> None:
    with pytest.raises(Refused, match=r"above 0, up to 1; method=finetune"):
        with_defaults(SoftHeads, alpha=0.0)


def test_at_alpha_one_no_label_is_read_and_the_golden_head_gets_no_gradient() -> None:
    logits = torch.randn(3, 4, 2, dtype=torch.float64, requires_grad=True)
    targets = torch.randn(2, 4, 2, dtype=torch.float64)
    hidden = torch.full((4,), -1)
    loss, terms = with_defaults(SoftHeads, alpha=1.0).loss(
        Classification(), logits, targets, hidden
    )
    loss.backward()
    assert logits.grad is not None
    assert set(terms) == {"soft"}
    assert logits.grad[0].abs().max() == 0
    assert logits.grad[1:].abs().min() > 0
    expected = slow_loss(
        [[[0.0, 0.0]] * 4, *logits.detach()[1:].tolist()], targets.tolist(), [0] * 4, 1.0
    )
    assert float(loss.detach()) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("golden", [True, False])
def test_the_answer_is_the_mean_of_the_heads_probabilities(golden: bool) -> None:
    logits = torch.randn(4, 5, 3, dtype=torch.float64)
    counted = logits.tolist() if golden else logits[1:].tolist()
    config = SimpleNamespace(problem_type=None, num_labels=3)
    module = SimpleNamespace(golden_head=golden, config=config)
    found = heads.joint_logits(module, logits).exp()
    for row in range(5):
        for column in range(3):
            share = 0.0
            for head in counted:
                total = sum(math.exp(value) for value in head[row])
                share += math.exp(head[row][column]) / total / len(counted)
            assert float(found[row, column]) == pytest.approx(share, abs=1e-12)


@pytest.fixture(scope="module")
def bench(store: Path) -> Bench:
    made = Bench.make(store, "tmkd", TWO)
    made.runner.run()
    return made


def test_a_plan_of_tmkd_has_two_data_sets_and_teachers_for_each(bench: Bench) -> None:
    plan = bench.plan
    assert plan.data == ("task", "pretrain")
    first, second = plan.stage("pretrain"), plan.stage("finetune")
    assert first.teachers == plan.pretrain_teachers
    assert second.teachers == plan.teachers
    assert (first.data, first.rows, second.earlier_stage) == (
        "pretrain",
        ("unlabelled",),
        "pretrain",
    )


def test_stage_one_teaches_the_body_and_the_soft_heads_and_not_the_golden_head(
    bench: Bench,
) -> None:
    learner = bench.runner.parts.factory.load_finished("pretrain")
    inputs = bench.runner.parts.data["pretrain"].split("unlabelled", learner).inputs(np.arange(8))
    targets, hidden = torch.randn(2, 8, 2), torch.full((8,), -1)
    loss, _ = with_defaults(SoftHeads, alpha=1.0).loss(
        Classification(), learner.head_logits(inputs), targets, hidden
    )
    names, weights = zip(*learner.trainable(), strict=True)
    found = dict(zip(names, torch.autograd.grad(loss, weights, allow_unused=True), strict=True))
    golden = [name for name in names if name.startswith(("classifier", "pre_classifier"))]
    assert golden
    for name in golden:
        assert found[name] is None or found[name].abs().max() == 0, name
    for name in (
        "soft_heads.weight",
        "soft_heads.bias",
        *(n for n in names if "q_lin.weight" in n),
    ):
        assert found[name].abs().max() > 0, name


def test_stage_two_keeps_the_body_and_has_new_heads(bench: Bench) -> None:
    left = bench.runner.parts.factory.load_finished("pretrain").module.state_dict()
    start = bench.runner.parts.factory.learner(bench.plan.stage("finetune")).module.state_dict()
    for name, weight in start.items():
        fresh = name.startswith(("classifier", "pre_classifier", "soft_heads"))
        if not (fresh and name.endswith("weight")):
            continue
        assert not torch.equal(weight, left[name]), name
    body = [name for name in start if name.startswith("distilbert.")]
    assert all(torch.equal(start[name], left[name]) for name in body)


@pytest.mark.parametrize("other", ["dataset.split_seed=5", "dataset.max_tokens=200"])
def test_a_stand_in_for_the_first_stage_is_known_by_the_tasks_words_and_lengths(
    other: str, tmp_path: Path
) -> None:
    # Its tokenizer is made of the task's rows, and it reads as many tokens as the task's do.
    benches = [Bench.make(tmp_path, "tmkd", (*TWO, *asked)) for asked in ((), (other,))]
    for bench in benches:
        assert len(bench.runner.preflight().missing) == len(bench.plan.stages)
    for name in ("pretrain/bert-base-uncased", "pretrain"):
        one, two = (bench.runner.key_of(bench.plan.stage(name)) for bench in benches)
        assert one != two


def test_pretrainings_teachers_are_held_to_their_own_rule(store: Path, tmp_path: Path) -> None:
    asked = (*TWO, "teacher@pretrain.teacher=bert", "pretrain.teacher.training.epochs=0")
    with pytest.raises(Refused) as refused:
        run(tmp_path / "run", store, "tmkd", *asked)
    assert refused.value.key == "pretrain.teacher.near_chance"


def test_a_student_without_labels_answers_without_its_golden_head(bench: Bench) -> None:
    parts, stage = bench.runner.parts, bench.plan.stage("pretrain")
    learner = parts.factory.load_finished("pretrain")
    before = parts.logits.predict(learner, stage, "test")
    with torch.no_grad():
        learner.module.classifier.bias += 5.0
    assert np.array_equal(before, parts.logits.predict(learner, stage, "test"))


def test_heads_are_saved_beside_a_plain_classifier(bench: Bench) -> None:
    folder = bench.runner.parts.finished["finetune"].model
    soft = load_file(folder / "soft_heads.safetensors")
    assert soft["weight"].shape == (2, 2, 16)
    assert soft["bias"].shape == (2, 2)
    plain = AutoModelForSequenceClassification.from_pretrained(folder)
    assert not any("soft_heads" in name for name in load_file(folder / "model.safetensors"))
    parts, stage = bench.runner.parts, bench.plan.stage("finetune")
    learner = parts.factory.load_finished("finetune")
    for name, weight in plain.state_dict().items():
        assert torch.equal(weight, learner.module.state_dict()[name])
    alone = parts.factory.load_finished("finetune", soft_heads=False)
    view = bench.runner.parts.data["task"].split("test", learner)
    inputs = view.inputs(np.arange(8))
    with torch.no_grad(), learner.evaluating():
        found = learner.head_logits(inputs)
        assert len(found) == 3
        state = plain.base_model(**inputs)[0][:, 0]
        for at, (weight, bias) in enumerate(zip(soft["weight"], soft["bias"], strict=True)):
            torch.testing.assert_close(found[1 + at], state @ weight.T + bias)
        torch.testing.assert_close(found[0], plain(**inputs).logits)
        torch.testing.assert_close(learner.logits(inputs).exp(), found.softmax(-1).mean(0))
    assert parts.logits.predict(alone, stage, "test").shape == (60, 2)


def test_broken_soft_heads_are_refused(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / heads.FILE).write_bytes(b"no safetensors")
    module = bench.runner.parts.factory.load_finished("baseline").module
    with pytest.raises(Refused, match="soft heads of this model cannot be read"):
        heads.load(module, tmp_path)


def test_the_result_and_the_card_report_the_golden_head_without_the_others(
    store: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    run(folder, store, "tmkd", *TWO)
    result = json.loads((folder / "result.json").read_text())
    golden = result["golden_head"]["test"]
    assert 0 <= golden["same_answers"] <= 1
    assert result["pretrain"]["rows"]["unlabelled"] > 0
    assert [one["name"] for one in result["pretrain"]["teachers"]] == [
        "pretrain/bert-base-uncased",
        "pretrain/roberta-base",
    ]
    card = (folder / "student" / "README.md").read_text()
    assert f"accuracy {100 * golden['accuracy']:.2f}" in card


STUDENT_HEADS = {
    "tmkd": (2, 2),
    "tkd": (1, 1),
    "tkd_avg": (1, 1),
    "mkd": (None, 2),
    "one_on_one": (None, 1),
    "one_avg_on_one": (None, 1),
}


@pytest.mark.parametrize(("method", "expected"), STUDENT_HEADS.items())
def test_the_ablations_differ_in_stages_and_heads_as_the_papers(
    method: str, expected: tuple[int | None, int]
) -> None:
    _, plan = planned(composed(f"method={method}", "profile=tiny", *TWO), method)
    names = [stage.name for stage in plan.stages]
    assert ("pretrain" in names) == (expected[0] is not None)
    for name, count in zip(("pretrain", "finetune"), expected, strict=True):
        if count is not None:
            stage = plan.stage(name)
            assert isinstance(stage.algorithm, SoftHeads)
            assert (1 if stage.algorithm.averaged else len(stage.teachers)) == count
    first = EarlierStudent("pretrain", fresh_head=True) if expected[0] else RandomWeights()
    assert plan.stage("finetune").initialisation == first


def test_no_student_of_many_on_many_continues_from_another(tmp_path: Path) -> None:
    plan = Bench.make(tmp_path, "many_on_many", TWO).plan
    students = [plan.stage(name) for name in plan.members]
    assert [(stage.earlier_stage, stage.first_epoch) for stage in students] == [
        (None, 0),
        (None, 0),
    ]


def test_many_on_many_has_a_student_for_each_teacher_and_answers_with_their_mean(
    store: Path,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "run"
    run(folder, store, "many_on_many", *TWO)
    result = json.loads((folder / "result.json").read_text())
    assert result["student"]["members"] == ["student-1", "student-2"]
    bench = Bench.make(store, "many_on_many", TWO)
    teachers = [bench.plan.stage(name).teachers for name in bench.plan.members]
    assert teachers == [("teacher/bert-base-uncased",), ("teacher/roberta-base",)]
    outcome = bench.runner.run()
    assert outcome.trained == ()
    ids = bench.runner.parts.data["task"].ids("test")
    each = [bench.runner.parts.logits.logits(name, "test").of(ids) for name in bench.plan.members]
    mean = sum(torch.from_numpy(one).softmax(-1) for one in each) / 2
    labels = bench.runner.parts.data["task"].labels("test")
    right = (mean.argmax(-1).numpy() == labels).mean()  # type: ignore[union-attr]
    assert result["metrics"]["test"]["accuracy"] == pytest.approx(right)
    parameters = [outcome.artifacts[name].facts()["parameters"] for name in bench.plan.members]
    assert result["student"]["parameters"] == sum(parameters)
    # Without a teacher there is one of them.
    alone = outcome.artifacts["baseline"].facts()["parameters"]
    assert result["baseline"]["parameters"] == alone < sum(parameters)
    assert f"{sum(parameters):,} (2 of {alone:,})" in (folder / "log.txt").read_text()


def test_without_data_of_its_own_stage_one_learns_from_the_tasks_teachers() -> None:
    asked = ("method=tmkd", *TWO, "dataset=synthetic", "dataset.unlabelled.generate=100")
    _, plan = planned(composed(*asked), "tmkd")
    assert plan.data == ("task",)
    assert plan.stage("pretrain").teachers == plan.teachers


def test_a_first_stage_without_texts_is_refused_with_the_key() -> None:
    with pytest.raises(Refused) as refused:
        planned(composed("method=tmkd", *TWO, "dataset=synthetic"), "tmkd")
    assert refused.value.key == "dataset.unlabelled.path"
    asked = ("method=tmkd", *TWO, "dataset=synthetic", "dataset@pretrain.dataset=sst2")
    with pytest.raises(Refused) as refused:
        planned(composed(*asked), "tmkd")
    assert refused.value.key == "pretrain.dataset.unlabelled.path"


def test_labels_cannot_be_read_where_there_are_none() -> None:
    asked = ("method=tmkd", *TWO, "profile=tiny", "method.stages.pretrain.algorithm.alpha=0.5")
    with pytest.raises(Refused, match="learns from labels"):
        planned(composed(*asked), "tmkd")


def test_averaged_logits_need_logits() -> None:
    asked = ("method=tkd_avg", *TWO, "profile=tiny", "teacher.combine=prob_mean")
    with pytest.raises(Refused) as refused:
        planned(composed(*asked), "tkd_avg")
    assert refused.value.key == "method.averaged"
