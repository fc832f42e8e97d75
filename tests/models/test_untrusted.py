"""Untrusted model folders: faults are refused before training, and code is never run."""

from __future__ import annotations

import ast
import json
import os
import pickle
import pty
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import distill_runner
from distill_runner.errors import Refused
from distill_runner.hub.locate import locate_model
from distill_runner.models import folder_checks, loading, untrusted
from distill_runner.tasks.classification import Classification

KEY = "student.model"
WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *["a", "the", "film", "is", "was", "good", "bad", "not"],
]


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT with all its files, as `save_pretrained` leaves them."""
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

    folder = tmp_path_factory.mktemp("untrusted") / "whole"
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=8,
    )
    torch.manual_seed(0)
    BertForSequenceClassification(config).save_pretrained(folder)
    BertTokenizer(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "model")


def change(folder: Path, **values: object) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def load(folder: Path) -> None:
    locate_model(str(folder), models_dir=None, key=KEY)
    shape = untrusted.check_config(folder, key=KEY)
    folder_checks.check_files(folder, shape, weights=True, key=KEY)
    loading.new_classifier(
        folder,
        name="x",
        task=Classification(),
        classes=["a", "b"],
        max_tokens=8,
        seed=1,
        key=KEY,
        random=False,
        layers=None,
    )


def refusal(folder: Path) -> str:
    with pytest.raises(Refused) as caught:
        load(folder)
    assert caught.value.key == KEY
    assert str(folder) in str(caught.value)
    assert "trust_remote_code" not in str(caught.value)
    assert "weights_only" not in str(caught.value)
    return str(caught.value)


def test_a_whole_folder_loads(folder: Path) -> None:
    load(folder)


ODD = {
    "layers in words": {"num_hidden_layers": "two"},
    "layers below zero": {"num_hidden_layers": -1},
    "no layers": {"num_hidden_layers": None},
    "a billion layers": {"num_hidden_layers": 10**9},
    "an infinity of layers": {"num_hidden_layers": float("inf")},
    "a billion labels": {"num_labels": 10**9},
    "words below zero": {"vocab_size": -5},
    "a trillion words": {"vocab_size": 10**12},
    "no width": {"hidden_size": 0},
    "a width of another file": {"hidden_size": 16},
    "a billion wide": {"hidden_size": 10**9},
    "heads that do not divide": {"num_attention_heads": 3},
    "an architecture that is a number": {"architectures": 5},
    "labels in a list": {"id2label": ["a", "b"]},
    "a type that is a number": {"model_type": 7},
    "no type": {"model_type": None},
    "an unknown activation": {"hidden_act": "nope"},
    "dropout in words": {"hidden_dropout_prob": "x"},
    "dropout above one": {"hidden_dropout_prob": 7},
    "positions below zero": {"max_position_embeddings": -1},
    "padding outside": {"pad_token_id": 99_999_999},
    "a type of numbers that is none": {"dtype": "evil"},
    "kernels from elsewhere": {"attn_implementation": "nobody/evil-attention"},
}


@pytest.mark.parametrize("odd", ODD)
def test_a_config_of_wrong_values_is_refused(folder: Path, odd: str) -> None:
    change(folder, **ODD[odd])
    refusal(folder)


@pytest.mark.parametrize("content", ["[1]", '{"model_type":', "[" * 100_000, "\xff"])
def test_a_config_that_is_no_object_is_refused(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content, encoding="latin-1")
    with pytest.raises(Refused, match=r"config\.json") as caught:
        load(folder)
    assert caught.value.key == KEY


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tokenizer_config.json", "[1, 2]"),
        ("tokenizer_config.json", '{"tokenizer_class": 5}'),
        ("tokenizer.json", "{"),
        ("tokenizer.json", "[]"),
    ],
)
def test_a_tokenizer_of_another_shape_is_refused(folder: Path, name: str, content: str) -> None:
    (folder / name).write_text(content)
    assert "tokenizer" in refusal(folder)


def test_weights_that_are_cut_short_or_missing_are_refused(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:2000])
    assert "model.safetensors" in refusal(folder)
    weights.unlink()
    assert "no weights" in refusal(folder)


def test_weights_of_another_architecture_are_no_random_start(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    kept = {name: weight for name, weight in weights.items() if "layer.1." not in name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    assert "encoder.layer.1" in refusal(folder)


# --- words ---------------------------------------------------------------------------------


def test_a_folder_without_a_vocabulary_is_refused_with_what_would_be_one(folder: Path) -> None:
    for name in ("vocab.txt", "tokenizer.json"):
        (folder / name).unlink()
    assert "vocab.txt" in refusal(folder)


def test_ids_beyond_the_embedding_are_refused(folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    tokenizer.add_tokens(["wonderful"])
    tokenizer.save_pretrained(folder)
    assert "another model" in refusal(folder)


@pytest.mark.parametrize(("rows", "fits"), [(len(WORDS), True), (128, True), (30_522, False)])
def test_an_embedding_may_be_filled_up_but_not_be_another_models(
    folder: Path, rows: int, fits: bool
) -> None:
    from transformers import AutoTokenizer

    change(folder, vocab_size=rows)
    module = untrusted.check_config(folder, key=KEY)
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    if fits:
        untrusted.check_words(module, tokenizer, folder, key=KEY)
    else:
        with pytest.raises(Refused, match="another model"):
            untrusted.check_words(module, tokenizer, folder, key=KEY)


# --- code ----------------------------------------------------------------------------------


class Touch:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (self.path,))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_of_tensors_is_read_and_one_of_more_never_run(
    folder: Path, tmp_path: Path, zipped: bool
) -> None:
    from safetensors.torch import load_file

    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    load(folder)
    evil = {"a": Touch(tmp_path / "ran")}
    if zipped:
        torch.save(evil, folder / "pytorch_model.bin")
    else:
        (folder / "pytorch_model.bin").write_bytes(pickle.dumps(evil, protocol=2))
    assert "more than tensors" in refusal(folder)
    assert not (tmp_path / "ran").exists()


def test_on_a_terminal_nothing_of_a_model_is_offered_for_running(
    folder: Path, tmp_path: Path
) -> None:
    change(
        folder,
        model_type="newest",
        auto_map={"AutoConfig": "evil.A", "AutoModelForSequenceClassification": "evil.B"},
    )
    ran = tmp_path / "ran"
    (folder / "evil.py").write_text(f"open({str(ran)!r}, 'w').close()\n")
    asked = ["method=finetune", f"student.model={folder}", "tracker=none"]
    asked += ["dataset=synthetic", f"store.dir={tmp_path}/store", f"output_dir={tmp_path}/out"]
    ours, theirs = pty.openpty()
    os.write(ours, b"y\ny\ny\n")
    done = subprocess.run(
        [sys.executable, "-m", "distill_runner.cli", *asked],
        stdin=theirs,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 2, done.stderr
    assert "newest" in done.stderr
    assert "[y/N]" not in done.stdout + done.stderr
    assert not ran.exists()


def test_a_tokenizer_with_code_of_its_own_is_not_run(folder: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    (folder / "evil.py").write_text(f"open({str(ran)!r}, 'w').close()\n")
    found = json.loads((folder / "tokenizer_config.json").read_text())
    found |= {"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["evil.A", "evil.A"]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(found))
    try:
        load(folder)
    except Refused as error:
        assert "trust_remote_code" not in str(error)  # noqa: PT017
    assert not ran.exists()


def test_every_model_is_read_without_its_code() -> None:
    calls = []
    for path in Path(distill_runner.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr in ("from_pretrained", "from_config"):
                said = {word.arg: ast.unparse(word.value) for word in node.keywords}
                calls.append((path.name, node.lineno, said.get("trust_remote_code")))
    assert len(calls) > 5
    assert [call for call in calls if call[2] != "False"] == []
