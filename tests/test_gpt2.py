"""GPT-2, whose tokenizer has no padding, as a teacher and as a student, from data to table."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from support.tiny import run

from distill_runner.data.synthetic import generate
from distill_runner.errors import Refused


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny GPT-2 that has seen no task; its tokens are bytes, and one ends a text."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import GPT2Config, GPT2LMHeadModel, GPT2Tokenizer

    folder = tmp_path_factory.mktemp("gpt2")
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(
        ["a good film"], vocab_size=280, special_tokens=["<|endoftext|>"], show_progress=False
    )
    bpe.save_model(str(folder))
    names = (str(folder / "vocab.json"), str(folder / "merges.txt"))
    tokenizer = GPT2Tokenizer(vocab=names[0], merges=names[1])
    assert tokenizer.pad_token is None
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 128}
    ends = {"bos_token_id": 0, "eos_token_id": 0}
    GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), **sizes, **ends)).save_pretrained(folder)
    return folder


def assert_answers_as_in_its_run(folder: Path) -> None:
    """transformers alone, in padded batches, has the logits that the run wrote down."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    dataset = OmegaConf.load(folder / "config.yaml").dataset
    texts = [text for text, _ in generate(dataset.generate, dataset.split_seed)]
    with open(folder / "predictions" / "test.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    expected = [[float(row[f"logit_{name}"]) for name in ("negative", "positive")] for row in rows]
    asked = [texts[int(row["id"].removeprefix("synthetic-"))] for row in rows]
    tokenizer = AutoTokenizer.from_pretrained(folder / "student")
    module = AutoModelForSequenceClassification.from_pretrained(folder / "student")
    cut = {"truncation": True, "max_length": dataset.max_tokens}
    with torch.inference_mode():
        found = module(**tokenizer(asked, padding=True, return_tensors="pt", **cut)).logits
    torch.testing.assert_close(found, torch.tensor(expected), rtol=0, atol=1e-5)


@pytest.mark.parametrize("method", ["kd", "metadistil"])
def test_it_teaches_a_distilbert(gpt2: Path, tmp_path: Path, store: Path, method: str) -> None:
    run(tmp_path, store, method, "teacher=bert", f"teacher.models=[{gpt2}]")
    assert_answers_as_in_its_run(tmp_path)


@pytest.mark.parametrize("method", ["kd", "metadistil"])
def test_it_learns_and_transformers_loads_it(
    gpt2: Path, tmp_path: Path, store: Path, method: str
) -> None:
    run(tmp_path, store, method, "teacher=bert", f"student.model={gpt2}")
    assert_answers_as_in_its_run(tmp_path)


def test_heads_on_the_first_token_are_refused_before_any_training(
    gpt2: Path, tmp_path: Path, store: Path
) -> None:
    with pytest.raises(Refused, match="Soft heads cannot read the states of a GPT2"):
        run(tmp_path, store, "tmkd", f"student.model={gpt2}")


def test_layers_that_are_not_known_are_refused_before_any_training(
    gpt2: Path, tmp_path: Path, store: Path
) -> None:
    with pytest.raises(Refused, match="layers of a GPT2"):
        run(tmp_path, store, "kd", f"student.model={gpt2}", "student.layers=[0]")
