from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from distill_runner.config.schema import BuiltModel
from distill_runner.data.synthetic import generate
from distill_runner.models.stand_ins import build


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
def test_a_narrow_model_distinguishes_texts_before_it_has_learned(
    family: str, tmp_path: Path
) -> None:
    texts = [text for text, _ in generate(200, 1)]
    spec = BuiltModel(family=family, layers=1, width=16, heads=2, feedforward=32, vocabulary=300)
    build(spec, texts, tmp_path, max_tokens=64)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    torch.manual_seed(1)
    config = AutoConfig.from_pretrained(tmp_path)
    model = AutoModelForSequenceClassification.from_config(config).eval()
    with torch.no_grad():
        logits = model(**tokenizer(texts, padding=True, return_tensors="pt")).logits
    assert logits[:, 0].std() > 1e-3
