"""Any architecture that transformers classifies with trains here as it does there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from support.architectures import LABELS, TEXTS, model_types, tokenizer_for, write
from torch import Tensor

from distill_runner.errors import Refused
from distill_runner.methods.pilot import finite_difference, jvp
from distill_runner.models import folder_checks, loading, saving, untrusted
from distill_runner.models.architecture import families
from distill_runner.models.fast.dropout import draw_cheaply
from distill_runner.models.learner import Learner
from distill_runner.models.vocabulary import cut_to
from distill_runner.tasks.classification import Classification

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
    folder_checks.check_files(folder, shape, weights=True, key=KEY)
    learner = loading.load_trained(
        folder, name="tried", task=Classification(), classes=LABELS, max_tokens=32, key=KEY
    )
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
    saving.save(learner, folder, classes=LABELS)
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


def ways() -> dict[str, list[str]]:
    """Every kind of model under the way it goes, as docs/models.md lists them."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
    )

    found: dict[str, list[str]] = {}
    for model_type, name in sorted(MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES.items()):
        if model_type in REFUSED:
            way = "refused"
        elif name in families.OWN_ATTENTION:
            way = "every shortcut"
        elif name in families.ONE_WORD_TABLE:
            way = "words left out"
        else:
            way = "plain" if name in families.PADDING else "plain, one length at a time"
        found.setdefault(way, []).append(model_type)
    return found


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


@pytest.mark.parametrize("model_type", REFUSED)
def test_what_cannot_work_is_refused_with_its_reason(model_type: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(f'{{"model_type": "{model_type}"}}')
    with pytest.raises(Refused, match="cannot be used:"):
        untrusted.check_config(tmp_path, key=KEY)


@pytest.mark.parametrize("model_type", ["gpt2", "modernbert"])
def test_a_training_pass_of_the_plain_path_is_transformers_own(
    model_type: str, tmp_path: Path
) -> None:
    from transformers import AutoModelForSequenceClassification

    folder = write(tmp_path, model_type, attn_pdrop=0.3, attention_dropout=0.3)
    learner, module = learner_of(folder), AutoModelForSequenceClassification.from_pretrained(folder)
    module.config.pad_token_id = learner.encoder.tokenizer.pad_token_id
    batch = inputs_of(learner, TEXTS)
    torch.manual_seed(1)
    expected = module.train()(**batch).logits
    learner.module.train()
    torch.manual_seed(1)
    torch.testing.assert_close(learner.logits(batch), expected)


def test_answers_that_a_config_wants_as_tuples_are_read_by_name(tmp_path: Path) -> None:
    folder = write(tmp_path, "gpt2", return_dict=False)
    learner = learner_of(folder)
    assert_close(
        learner.logits(inputs_of(learner, TEXTS)), bare(folder, TEXTS, return_dict=True)[1]
    )


def test_a_tokenizer_that_pads_on_the_left_is_saved_to_pad_on_the_right(tmp_path: Path) -> None:
    folder = write(tmp_path / "given", "gpt2")
    (folder / "tokenizer_config.json").write_text(
        (folder / "tokenizer_config.json").read_text().replace("{", '{"padding_side": "left",', 1)
    )
    assert_loads_there(learner_of(folder), tmp_path / "saved")


def test_an_empty_text_is_read_as_the_end_of_one(tmp_path: Path) -> None:
    learner = learner_of(write(tmp_path, "gpt2"))
    alone = learner.logits(inputs_of(learner, [""]))
    assert_close(learner.logits(inputs_of(learner, ["", *TEXTS]))[:1], alone)
    assert_close(alone, bare(tmp_path, ["<sep>"])[1])


def test_a_text_that_holds_the_token_of_its_end_changes_no_other(tmp_path: Path) -> None:
    folder = write(tmp_path, "bart")
    learner, texts = learner_of(folder), [*TEXTS, "a good <sep> film"]
    assert_close(learner.logits(inputs_of(learner, texts)), bare(folder, texts)[1])


def test_a_head_that_reads_the_end_refuses_a_tokenizer_that_sets_none(tmp_path: Path) -> None:
    tokenizer_for("decoder").save_pretrained(write(tmp_path, "t5"))
    with pytest.raises(Refused, match="does not end a text with it"):
        learner_of(tmp_path)


def test_a_tokenizer_with_nothing_to_pad_with_is_refused(tmp_path: Path) -> None:
    tokenizer = tokenizer_for("decoder")
    tokenizer.eos_token = None
    tokenizer.save_pretrained(write(tmp_path, "gpt2"))
    with pytest.raises(Refused, match="no token to pad"):
        learner_of(tmp_path)


@pytest.mark.parametrize("model_type", ["bloom", "mixtral"])
def test_a_student_without_forward_derivative_is_refused_with_a_way_out(
    model_type: str, tmp_path: Path
) -> None:
    learner = learner_of(write(tmp_path, model_type))
    learner.module.train()
    batch = inputs_of(learner, TEXTS)
    direction = {name: torch.ones_like(weight) for name, weight in learner.trainable()}
    with pytest.raises(Refused) as early:
        families.check_forward_derivative(learner.module, key=KEY)
    with pytest.raises(Refused) as late:
        jvp(lambda: learner.logits(batch), learner, direction)
    assert str(early.value) == str(late.value)
    assert "method.derivative=finite_difference" in str(early.value)
    logits = finite_difference(lambda: learner.logits(batch), learner, direction, length=1e-3)
    assert logits.shape == (len(TEXTS), len(LABELS))


def test_the_documentation_says_which_architectures_go_which_way() -> None:
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \*\*(.+?)\*\* \| (.*) \|$", page, re.MULTILINE)
    said = {name: way for way, names in rows for name in names.split(", ")}
    found = {name: way for way, names in ways().items() for name in names}
    # Another version of transformers knows fewer, or more.
    known = said.keys() & found.keys()
    assert len(known) > 100
    assert {name: said[name] for name in known} == {name: found[name] for name in known}
