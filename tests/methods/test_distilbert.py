"""DistilBERT's triple loss against plain arithmetic, and its two stages (Sanh et al. 2019)."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from support.algorithms import with_defaults
from support.learners import save_bert, without_dropout
from support.tiny import Bench, composed, planned, run
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from distill_runner.config.schema import Select
from distill_runner.errors import Refused
from distill_runner.methods.distilbert import TripleLoss, Words
from distill_runner.models.teachers import LanguageTeacher
from distill_runner.planning.initialisation import TeacherLayers
from distill_runner.planning.stages import TASK
from distill_runner.training import loop
from distill_runner.training.stage_job import Job

ONE = ("teacher=bert",)


def log_softmax(row: list[float], temperature: float) -> list[float]:
    total = math.log(sum(math.exp(value / temperature) for value in row))
    return [value / temperature - total for value in row]


def slow_loss(
    logits: tuple[list[list[float]], list[list[float]]],
    states: tuple[list[list[float]], list[list[float]]],
    targets: list[int],
    loss: TripleLoss,
) -> float:
    """Student's and teacher's, every token decoded, number by number."""
    soft, hard, apart = [], [], []
    for at, target in enumerate(targets):
        ours, theirs = (log_softmax(each[at], loss.temperature) for each in logits)
        if target >= 0 or not loss.restrict_ce_to_mask:
            soft.append(sum(math.exp(t) * (t - s) for s, t in zip(ours, theirs, strict=True)))
        if target >= 0:
            hard.append(-log_softmax(logits[0][at], 1.0)[target])
        one, other = (each[at] for each in states)
        product = sum(a * b for a, b in zip(one, other, strict=True))
        apart.append(1 - product / math.hypot(*one) / math.hypot(*other))
    means = [sum(each) / len(each) for each in (soft, hard, apart)]
    weights = loss.a_ce * loss.temperature**2, loss.a_mlm, loss.a_cos
    return sum(weight * mean for weight, mean in zip(weights, means, strict=True))


@pytest.mark.parametrize("restricted", [False, True])
@pytest.mark.parametrize("weights", [(5.0, 2.0, 1.0), (0.33, 0.33, 0.33), (1.0, 0.0, 2.0)])
def test_the_triple_loss_is_the_papers(
    restricted: bool, weights: tuple[float, float, float]
) -> None:
    generator = torch.Generator().manual_seed(1)
    ours, theirs, states, teacher_states = (
        torch.randn(9, width, generator=generator, dtype=torch.float64) for width in (7, 7, 4, 4)
    )
    targets = torch.tensor([-1, 3, -1, -1, 0, 6, -1, -1, 2])
    a_ce, a_mlm, a_cos = weights
    algorithm = with_defaults(
        TripleLoss,
        temperature=3.0,
        a_ce=a_ce,
        a_mlm=a_mlm,
        a_cos=a_cos,
        restrict_ce_to_mask=restricted,
    )
    decoded = targets >= 0 if restricted else torch.ones(9, dtype=torch.bool)
    words = Words(ours[decoded], targets[decoded], theirs[decoded])
    loss, terms = algorithm.loss(words, states, teacher_states)
    expected = slow_loss(
        (ours.tolist(), theirs.tolist()),
        (states.tolist(), teacher_states.tolist()),
        targets.tolist(),
        algorithm,
    )
    assert float(loss) == pytest.approx(expected, abs=1e-10)
    assert ("hidden_words" in terms) == (a_mlm > 0)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"a_ce": -1.0}, "method.a_ce"),
        ({"a_ce": 0.0, "a_mlm": 0.0, "a_cos": 0.0}, "method.a_ce"),
        ({"temperature": 0.0}, "method.temperature"),
        ({"mask_share": 1.0}, "method.mask_share"),
    ],
)
def test_a_setting_out_of_range_is_refused(settings: dict[str, float], key: str) -> None:
    with pytest.raises(Refused) as refused:
        with_defaults(TripleLoss, **settings)  # type: ignore[arg-type]
    assert refused.value.key == key


@pytest.fixture(scope="module")
def bench(store: Path) -> Bench:
    asked = (*ONE, "training.select=best_validation")
    made = Bench.make(store, "distilbert", asked)
    made.runner.run()
    return made


def test_the_first_stage_reads_unlabelled_rows_under_a_teacher_that_is_not_fine_tuned(
    bench: Bench,
) -> None:
    plan = bench.plan
    first, second = plan.stage("pretrain"), plan.stage("finetune")
    assert (first.data, first.rows, first.teachers) == (TASK, ("unlabelled",), ())
    assert first.backbone_of == "teacher/bert-base-uncased"
    assert (second.earlier_stage, second.teachers) == ("pretrain", plan.teachers)
    assert plan.baseline is not None
    before = TeacherLayers("teacher/bert-base-uncased", finetuned=False)
    assert plan.stage(plan.baseline).initialisation == first.initialisation == before
    # Its classifier answers by lot, so no score is told and none chooses an epoch.
    assert first.training.select is Select.last
    assert second.training.select is Select.best_validation
    facts = bench.runner.parts.finished["pretrain"].facts()
    assert facts["metrics"] == {}
    assert [set(point) for point in facts["history"]] == [{"epoch"}] * 3
    assert facts["training"]["kept_epoch"] == 3


def test_the_student_starts_from_the_teachers_layers_before_it_learnt_the_task(
    bench: Bench,
) -> None:
    factory, plan = bench.runner.parts.factory, bench.plan
    before = factory.learner(plan.stage("teacher/bert-base-uncased")).module.state_dict()
    start = factory.learner(plan.stage("pretrain")).module.state_dict()
    key = "attention.q_lin.weight"
    theirs = before["bert.encoder.layer.0.attention.self.query.weight"]
    assert torch.equal(start[f"distilbert.transformer.layer.0.{key}"], theirs)
    words = "embeddings.word_embeddings.weight"
    assert torch.equal(start[f"distilbert.{words}"], before[f"bert.{words}"])
    trained = load_file(bench.runner.parts.finished[plan.teachers[0]].model / "model.safetensors")
    assert not torch.equal(trained[f"bert.{words}"], before[f"bert.{words}"])


def test_stage_one_teaches_the_body_and_leaves_the_classifier_alone(bench: Bench) -> None:
    stage = bench.plan.stage("pretrain")
    start = bench.runner.parts.factory.learner(stage).module.state_dict()
    folder = bench.runner.parts.finished["pretrain"].model
    left = load_file(folder / "model.safetensors")
    assert not any(name.startswith("language_head") for name in left)
    for name, weight in left.items():
        changed = not torch.equal(weight, start[name])
        assert changed == name.startswith("distilbert."), name
    plain = AutoModelForSequenceClassification.from_pretrained(folder)
    assert set(plain.state_dict()) == set(left)


def test_stage_two_keeps_the_body_and_a_head_that_learnt_nothing_yet(bench: Bench) -> None:
    left = load_file(bench.runner.parts.finished["pretrain"].model / "model.safetensors")
    start = bench.runner.parts.factory.learner(bench.plan.stage("finetune")).module.state_dict()
    assert set(start) == set(left)
    for name, weight in start.items():
        if name.startswith("distilbert."):
            assert torch.equal(weight, left[name]), name
        elif name.endswith("bias"):
            assert not weight.any(), name


def job_of(bench: Bench, folder: Path, **changes: object) -> Job:
    runner, stage = bench.runner, bench.plan.stage("pretrain")
    with runner.prepare(stage, folder=folder) as job:
        return replace(job, **changes)


@pytest.mark.parametrize("restricted", [False, True])
def test_a_step_compares_the_student_with_the_teacher_without_dropout(
    restricted: bool, bench: Bench, tmp_path: Path
) -> None:
    made = job_of(bench, tmp_path / "job")
    without_dropout(made.student)
    assert isinstance(made.algorithm, TripleLoss)
    algorithm = replace(made.algorithm, restrict_ce_to_mask=restricted)
    batch = loop.Loop(replace(made, algorithm=algorithm)).batches.make(0, 0, 0, np.arange(4))
    (update,) = algorithm.updates(batch)
    assert isinstance(made.teachers, LanguageTeacher)
    states, words = [], []
    for learner in (made.student, made.teachers._learner):
        with learner.evaluating(), torch.no_grad():
            states.append(learner.token_states(batch.student_inputs))
            words.append(learner.token_logits(states[-1]))
    assert not torch.equal(*states)
    targets = batch.hidden_words().tolist()
    assert any(target >= 0 for target in targets)
    expected = slow_loss(
        (words[0].tolist(), words[1].tolist()),
        (states[0].tolist(), states[1].tolist()),
        targets,
        algorithm,
    )
    assert update.loss.item() == pytest.approx(expected, rel=1e-4)


def test_the_student_starts_with_the_teachers_language_head(bench: Bench, tmp_path: Path) -> None:
    made = job_of(bench, tmp_path / "job")
    assert isinstance(made.teachers, LanguageTeacher)
    ours, theirs = (
        {
            name.rpartition("language_head.")[2]: weight
            for name, weight in learner.module.state_dict().items()
            if "language_head." in name
        }
        for learner in (made.student, made.teachers._learner)
    )
    assert ours
    assert all(torch.equal(weight, theirs[name]) for name, weight in ours.items())


class Killed(Exception):
    pass


class Silent:
    def show(self, step: int, values: object) -> None:
        pass


class Fatal(Silent):
    def show(self, step: int, values: object) -> None:  # noqa: ARG002
        if step == 11:
            raise Killed


def test_an_interrupted_stage_one_resumes_to_the_last_bit(bench: Bench, tmp_path: Path) -> None:
    whole = job_of(bench, tmp_path / "whole", log_every=1)
    loop.Loop(whole).run(Silent())  # type: ignore[arg-type]
    broken = job_of(bench, tmp_path / "broken", log_every=1, checkpoint_seconds=0.0)
    with pytest.raises(Killed):
        loop.Loop(broken).run(Fatal())  # type: ignore[arg-type]
    again = job_of(bench, tmp_path / "again", log_every=1)
    resumed = loop.Loop(replace(again, folder=tmp_path / "broken"))
    assert resumed.progress.step == 10
    resumed.run(Silent())  # type: ignore[arg-type]
    ours, theirs = whole.student.module.state_dict(), again.student.module.state_dict()
    assert any(name.startswith("language_head") for name in ours)
    assert all(torch.equal(weight, theirs[name]) for name, weight in ours.items())


def test_without_its_first_stage_it_is_kd_on_the_teachers_layers() -> None:
    asked = ("method=distilbert", *ONE, "profile=tiny", "method.pretrain_epochs=0")
    _, plan = planned(composed(*asked), "distilbert")
    assert "pretrain" not in [stage.name for stage in plan.stages]
    student = plan.stage("finetune")
    assert student.initialisation == TeacherLayers(plan.teachers[0], finetuned=False)


def test_any_student_can_start_from_a_teacher_before_its_fine_tuning() -> None:
    asked = ("method=kd", *ONE, "student.start=pretrained_teacher", "student.layers=[0,2,4,7,9,11]")
    _, plan = planned(composed(*asked), "kd")
    student = plan.stage("kd")
    assert student.initialisation == TeacherLayers(plan.teachers[0], finetuned=False)


def test_texts_without_labels_must_be_named() -> None:
    with pytest.raises(Refused) as refused:
        planned(composed("method=distilbert", *ONE, "dataset=synthetic"), "distilbert")
    assert refused.value.key == "dataset.unlabelled.path"


@pytest.mark.parametrize("a_ce", [5.0, 0.0])
def test_a_teacher_without_a_language_head_teaches_states_and_not_words(
    a_ce: float, bench: Bench, tmp_path: Path
) -> None:
    built = bench.runner.parts.folders.folder_of(bench.plan.stage(bench.plan.teachers[0]))
    torch.manual_seed(1)
    config = AutoConfig.from_pretrained(built, num_hidden_layers=3)
    folder = tmp_path / "headless"
    module = AutoModelForSequenceClassification.from_config(config)
    module.base_model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(built).save_pretrained(folder)
    asked = (f"teacher.models=[{folder}]", f"student.model={folder}", "student.layers=[0,2]")
    settings = (f"method.a_ce={a_ce}", "method.baseline=never", "training.max_steps=2")
    if a_ce:
        with pytest.raises(Refused) as refused:
            run(tmp_path / "run", tmp_path / "store", "distilbert", *asked, *settings)
        assert refused.value.key == "method.a_ce"
        assert "no masked-LM head" in str(refused.value)
        return
    run(tmp_path / "run", tmp_path / "store", "distilbert", *asked, *settings)
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["status"] == "finished"
    assert result["student"]["times_smaller"]["headless"] > 1
    student = AutoConfig.from_pretrained(tmp_path / "run" / "student")
    assert student.num_hidden_layers == 2


def test_a_student_may_have_fewer_layers_than_the_numbers_of_those_it_gets(tmp_path: Path) -> None:
    save_bert(tmp_path / "deep", layers=4)
    save_bert(tmp_path / "flat", layers=2)
    models = (f"teacher.models=[{tmp_path}/deep]", f"student.model={tmp_path}/flat")
    asked = (*ONE, *models, "teacher.finetune=always", "student.layers=[0,3]", "method.a_ce=0")
    bench = Bench.make(tmp_path / "store", "distilbert", asked)
    assert [stage.name for stage in bench.runner.preflight().missing][-1] == "finetune"
