"""The static student: a mean of word embeddings and a small head, in Model2Vec's files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from support.learners import save_bert
from support.tiny import Bench, run
from support.training import job_of

import distill_runner
from distill_runner.errors import Refused
from distill_runner.models.static import StaticForSequenceClassification

STATIC = ("student=static", "teacher=bert")


def trained(folder: Path, store: Path, *asked: str, method: str = "kd") -> Path:
    run(folder, store, method, *STATIC, *asked)
    return folder


def test_its_logits_are_the_head_of_the_mean_of_its_words(store: Path, tmp_path: Path) -> None:
    learner = job_of(Bench.make(store, "kd", STATIC), tmp_path / "job").student
    module = learner.module
    assert isinstance(module, StaticForSequenceClassification)
    text = "the film is unheard-of"
    tokenizer = learner.encoder.tokenizer
    ids = [at for at in tokenizer(text)["input_ids"] if at not in tokenizer.all_special_ids]
    words = module.words.weight.detach().double().numpy()
    mean = sum(words[at] for at in ids) / len(ids)
    weights = {name: weight.detach().double().numpy() for name, weight in module.named_parameters()}
    hidden = np.maximum(weights["head.0.weight"] @ mean + weights["head.0.bias"], 0)
    expected = weights["head.2.weight"] @ hidden + weights["head.2.bias"]
    encoded = learner.encoder.tokenize([text, "good " * 20])  # padded to the longer one
    inputs = learner.encoder.pad({k: [np.array(r) for r in v] for k, v in encoded.items()})
    found = learner.logits(inputs)[0].detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_a_text_without_a_known_word_has_the_logits_of_the_mean_0(
    store: Path, tmp_path: Path
) -> None:
    learner = job_of(Bench.make(store, "kd", STATIC), tmp_path / "job").student
    encoded = learner.encoder.tokenize(["", "\u4e16\u754c"])
    inputs = learner.encoder.pad({k: [np.array(r) for r in v] for k, v in encoded.items()})
    found = learner.logits(inputs).detach()
    assert torch.equal(found[0], found[1])
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("method", ["kd", "finetune", "metadistil"])
def test_a_run_scores_and_saves_it(method: str, store: Path, tmp_path: Path) -> None:
    folder = trained(tmp_path / "run", store, method=method)
    result = json.loads((folder / "result.json").read_text())
    assert result["student"]["layers"] == []
    assert result["metrics"]["test"]["n"] == 60
    files = {path.name for path in (folder / "student").iterdir()}
    assert {"config.json", "modules.json", "tokenizer.json", "head.safetensors"} <= files


def test_it_predicts_as_the_run_did(store: Path, tmp_path: Path) -> None:
    folder = trained(tmp_path / "run", store)
    table = (folder / "predictions" / "test.csv").read_text().splitlines()[1:]
    student = distill_runner.load(folder, store=store)
    assert student.result.student.layers == ()
    texts = ["a good film", "a bad film"]
    assert len(student.predict(texts)) == 2
    assert len(table) == 60


def test_model2vec_gives_the_same_probabilities_without_torch(store: Path, tmp_path: Path) -> None:
    inference = pytest.importorskip("model2vec.inference", reason="pip install model2vec")
    folder = trained(tmp_path / "run", store)
    pipeline = inference.StaticModelPipeline.from_pretrained(folder / "student")
    student = distill_runner.load(folder, store=store)
    texts = ["a good film", "nothing is as bad as this", "", "zzz \u4e16", "the " * 300]
    ours, theirs = student.predict_proba(texts), pipeline.predict_proba(texts)
    np.testing.assert_allclose(theirs, ours, atol=1e-6)
    assert pipeline.predict(texts).tolist() == student.predict(texts)
    card = (folder / "student" / "README.md").read_text()
    assert "StaticModelPipeline" in card
    assert "library_name: model2vec" in card


def test_pairs_are_refused(store: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.csv"
    rows = "".join(f"question {n},answer {n * n},{n % 2}\n" for n in range(200))
    pairs.write_text(f"question,sentence,label\n{rows}")
    asked = (
        *("dataset=files", f"dataset.path={pairs}", "dataset.generate=0"),
        *("dataset.text=[question,sentence]", "method.baseline=never"),
    )
    with pytest.raises(Refused, match="texts of a pair") as refused:
        trained(tmp_path / "run", store, *asked)
    assert refused.value.key == "student.layers"


@pytest.mark.parametrize("start", ["pretrained", "teacher", "pretrained_teacher"])
def test_it_starts_from_the_words_of_a_model_without_a_fitting_head(
    start: str, store: Path, tmp_path: Path
) -> None:
    save_bert(tmp_path / "given", layers=1)
    weights = load_file(tmp_path / "given" / "model.safetensors")
    weights.pop("classifier.weight")  # as pre-trained models have none
    weights.pop("classifier.bias")
    save_file(weights, tmp_path / "given" / "model.safetensors", metadata={"format": "pt"})
    asked = (*STATIC, f"teacher.models=[{tmp_path / 'given'}]", f"student.start={start}")
    student = job_of(Bench.make(store, "kd", asked), tmp_path / "job").student
    words = weights["bert.embeddings.word_embeddings.weight"]
    found = student.module.get_parameter("words.weight").detach()
    same = torch.equal(found, words[: len(found)])
    assert same == (start != "teacher")  # whose fine-tuning changes them
