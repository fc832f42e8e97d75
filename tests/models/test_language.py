"""A classifier's body as a language model, beside transformers' own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from support.learners import FAMILIES, NewLearner
from transformers import AutoConfig, AutoModelForMaskedLM, AutoModelForSequenceClassification

from distill_runner.errors import Refused
from distill_runner.models import language

KEY = "teacher.models"


def language_model(folder: Path) -> Any:
    torch.manual_seed(3)
    module: Any = AutoModelForMaskedLM.from_config(AutoConfig.from_pretrained(folder))
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return module


@pytest.mark.parametrize("family", FAMILIES)
def test_a_checkpoints_head_gives_transformers_own_logits(
    family: str,
    new_learner: NewLearner,
    model_folders: dict[str, Path],
    texts: list[str],
    tmp_path: Path,
) -> None:
    theirs = language_model(model_folders[family])
    theirs.save_pretrained(tmp_path)
    learner = new_learner(family)
    learner.module.base_model.load_state_dict(theirs.base_model.state_dict(), strict=False)
    head = language.load_head(tmp_path, seed=1, random=False, key=KEY)
    assert head is not None
    assert language.fits(head, learner.module)
    language.attach(learner.module, head.double())
    # Shortcuts of the classifier, which token by token must step aside.
    learner.read_first_token_only()
    learner.leave_padding_out()
    tokens = learner.encoder.tokenize(texts)["input_ids"]
    inputs = learner.encoder.pad({"input_ids": [torch.tensor(row).numpy() for row in tokens]})
    with torch.no_grad(), learner.evaluating():
        expected = theirs.double().eval()(**inputs).logits[inputs["attention_mask"].bool()]
        states = learner.token_states(inputs)
        torch.testing.assert_close(learner.token_logits(states), expected, rtol=0, atol=1e-10)
    assert len(states) == sum(len(row) for row in tokens)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_checkpoint_without_a_head_has_none_and_a_fresh_one_has_an_address(
    family: str, model_folders: dict[str, Path], tmp_path: Path
) -> None:
    config = AutoConfig.from_pretrained(model_folders[family])
    AutoModelForSequenceClassification.from_config(config).save_pretrained(tmp_path)
    assert language.load_head(tmp_path, seed=1, random=False, key=KEY) is None
    fresh = [language.load_head(tmp_path, seed=seed, random=True, key=KEY) for seed in (1, 1, 2)]
    weights = [head.dense.weight for head in fresh if head is not None]
    assert torch.equal(weights[0], weights[1])  # type: ignore[arg-type]
    assert not torch.equal(weights[0], weights[2])  # type: ignore[arg-type]


def test_a_student_with_other_words_than_its_teachers_is_refused(new_learner: NewLearner) -> None:
    bert, roberta = new_learner("bert").encoder, new_learner("roberta").encoder
    wanted = {"names": ("this one", "that one"), "key": "student.model"}
    language.check_words(bert, new_learner("distilbert").encoder, **wanted)
    with pytest.raises(Refused, match="different vocabularies"):
        language.check_words(bert, roberta, **wanted)
