"""A hub on this machine: fixtures that serve a tiny model and two data sets."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.hub_server import Hub, serve_hub

MODEL = "google-bert/tiny"
DATASET = "nyu-mll/glue"


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT, as `save_pretrained` leaves it."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

    folder = tmp_path_factory.mktemp("model")
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad"]))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=7,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    BertTokenizer(vocab=str(vocabulary)).save_pretrained(folder)
    return folder


@pytest.fixture
def hub_root(tmp_path: Path, tiny_model: Path) -> Path:
    root = tmp_path / "hub"
    model = shutil.copytree(tiny_model, root / "models" / MODEL)
    (model / "pytorch_model.bin").write_bytes(b"the same weights once more")
    (model / "README.md").write_text("# tiny")
    for subset in ("sst2", "mrpc"):
        folder = root / "datasets" / DATASET / subset
        folder.mkdir(parents=True)
        for split in ("train", "validation"):
            (folder / f"{split}-00000-of-00001.parquet").write_bytes(f"{subset} {split}".encode())
    return root


@pytest.fixture
def point_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Sets the hub's address; the cache is empty and of this test only."""
    from huggingface_hub import constants

    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    return lambda url: monkeypatch.setattr(constants, "ENDPOINT", url)


@pytest.fixture
def served(hub_root: Path, point_at: Callable[[str], None]) -> Iterator[Hub]:
    with serve_hub(hub_root) as running:
        point_at(running.url)
        yield running
