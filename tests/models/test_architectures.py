"""Any architecture that transformers classifies with trains here as it would there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from architectures import LABELS, TEXTS, model_types, write
from torch import Tensor

from distill_runner.errors import Refused
from distill_runner.models import families, loading, untrusted
from distill_runner.models.dropout import draw_cheaply
from distill_runner.models.learner import Learner
from distill_runner.models.vocabulary import cut_to

KEY = "student.model"
USUAL = (
    *("albert", "bart", "camembert", "deberta-v2", "electra", "gpt2", "llama", "mobilebert"),
    *("modernbert", "t5", "xlnet"),
)
# Images, kernels and fixed lengths: refused, each with its reason.
REFUSED = ("layoutlmv2", "mra", "reformer")


def learner_of(folder: Path) -> Learner:
    """As a run loads it, all shortcuts on."""
    shape = untrusted.check_config(folder, key=KEY)
    loading.check_files(folder, shape, weights=True, key=KEY)
    learner = loading.load_trained(folder, name="tried", classes=LABELS, max_tokens=32, key=KEY)
    draw_cheaply(learner.module)
    learner.read_first_token_only()
    learner.leave_padding_out()
    learner.module.eval()
    return learner


def bare(folder: Path, texts: list[str], **settings: Any) -> tuple[Any, Tensor]:
    """transformers alone on these texts, each by itself: the module, and [texts, classes]."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    module = AutoModelForSequenceClassification.from_pretrained(folder, **settings).eval()
    alone = [module(**tokenizer(text, return_tensors="pt")).logits for text in texts]
    return module, torch.cat(alone)


def inputs_of(learner: Learner, texts: list[str]) -> Any:
    return learner.encoder.pad(learner.encoder.tokenize(texts))  # type: ignore[arg-type]


def assert_close(found: Tensor, expected: Tensor, what: str = "") -> None:
    scale = max(1.0, expected.detach().abs().max().item())
    torch.testing.assert_close(found / scale, expected / scale, rtol=0, atol=2e-5, msg=what or None)


def gradients(module: Any, logits: Tensor) -> dict[str, Tensor]:
    module.zero_grad()
    torch.sin(logits).sum().backward()  # type: ignore[no-untyped-call]
    named = module.named_parameters()
    return {name: weight.grad.clone() for name, weight in named if weight.grad is not None}


def assert_trains_as_there(learner: Learner, folder: Path) -> None:
    module, alone = bare(folder, TEXTS)
    batch = inputs_of(learner, TEXTS)
    assert_close(learner.logits(batch), alone)
    expected = gradients(module, alone)
    with cut_to(learner, batch["input_ids"].unique().numpy()):
        assert_close(learner.logits(batch), alone)
    found = gradients(learner.module, learner.logits(batch))
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        assert_close(found[name], gradient, name)


def assert_loads_there(learner: Learner, folder: Path) -> None:
    from transformers import AutoTokenizer

    logits = learner.logits(inputs_of(learner, TEXTS))
    loading.save(learner, folder, classes=LABELS)
    module, alone = bare(folder, TEXTS)
    assert_close(alone, logits)
    if families.fits(module, families.PADDING):
        batch = AutoTokenizer.from_pretrained(folder)(TEXTS, padding=True, return_tensors="pt")
        assert_close(module(**batch).logits, logits)


def assert_works(model_type: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "given", model_type)
    learner = learner_of(folder)
    assert_trains_as_there(learner, folder)
    assert_loads_there(learner, tmp_path / "saved")


@pytest.mark.parametrize("model_type", USUAL)
def test_a_text_has_the_logits_and_gradients_that_transformers_gives_it_alone(
    model_type: str, tmp_path: Path
) -> None:
    assert_works(model_type, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "model_type", [name for name in model_types() if name not in (*USUAL, *REFUSED)]
)
def test_so_has_it_in_every_architecture(model_type: str, tmp_path: Path) -> None:
    assert_works(model_type, tmp_path)


@pytest.mark.parametrize("model_type", [name for name in REFUSED if name != "layoutlmv2"])
def test_what_cannot_work_is_refused_with_its_reason(model_type: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(f'{{"model_type": "{model_type}"}}')
    with pytest.raises(Refused, match="cannot be used here"):
        untrusted.check_config(tmp_path, key=KEY)
