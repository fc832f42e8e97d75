"""Students cut from larger models hold exactly the layers that were asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from distill_runner.errors import Refused
from distill_runner.models.architecture.layers import copy_layers, keep_layers, layers_of, spread

IDS = torch.tensor([[2, 7, 9, 11, 3], [2, 8, 3, 0, 0]])
MASK = (IDS != 0).long()
SIZE = {"vocab_size": 30, "max_position_embeddings": 12}
BERT_SIZE = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 24, **SIZE}
DISTILBERT_SIZE = {"dim": 16, "n_heads": 2, "hidden_dim": 24, **SIZE}


def bert(layers: int = 6, seed: int = 0, **changes: Any) -> Any:
    torch.manual_seed(seed)
    config = BertConfig(num_hidden_layers=layers, **{**BERT_SIZE, **changes})
    return lively(BertForSequenceClassification(config))


def roberta(layers: int = 6, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    config = RobertaConfig(num_hidden_layers=layers, type_vocab_size=1, pad_token_id=0, **BERT_SIZE)
    return lively(RobertaForSequenceClassification(config))


def distilbert(layers: int = 3, seed: int = 1, **changes: Any) -> Any:
    torch.manual_seed(seed)
    config = DistilBertConfig(n_layers=layers, **{**DISTILBERT_SIZE, **changes})
    return lively(DistilBertForSequenceClassification(config))


def lively(module: Any) -> Any:
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(0.2 * torch.randn_like(weight))
    return module.eval()


@torch.no_grad()
def hidden(module: Any) -> tuple[Tensor, ...]:
    """Embeddings, then the output of each layer. Each [batch, tokens, width]."""
    states: tuple[Tensor, ...] = module(IDS, MASK, output_hidden_states=True).hidden_states
    return states


@torch.no_grad()
def run(layers: Any, states: Tensor) -> Tensor:
    for layer in layers:
        found = layer(states)
        states = found[0] if isinstance(found, tuple) else found
    return states


@pytest.mark.parametrize(
    ("depth", "wanted", "expected"),
    [
        (12, 6, (0, 2, 4, 7, 9, 11)),
        (12, 12, tuple(range(12))),
        (12, 3, (0, 6, 11)),
        (12, 2, (0, 11)),
        (12, 1, (0,)),
        (24, 4, (0, 8, 15, 23)),
    ],
)
def test_layers_are_spread_evenly_with_the_first_and_the_last(
    depth: int, wanted: int, expected: tuple[int, ...]
) -> None:
    assert spread(depth, wanted) == expected


@pytest.mark.parametrize("make", [bert, roberta, distilbert])
def test_the_layers_of_every_family_are_found(make: Any) -> None:
    assert len(layers_of(make(4))) == 4


def test_an_unknown_architecture_is_refused() -> None:
    config = GPT2Config(n_layer=1, n_embd=8, n_head=1, vocab_size=20, n_positions=8)
    with pytest.raises(Refused, match="GPT2ForSequenceClassification"):
        layers_of(GPT2ForSequenceClassification(config))


@pytest.mark.parametrize("make", [bert, roberta, distilbert])
def test_keeping_layers_runs_those_alone_in_that_order(make: Any) -> None:
    whole, cut = make(4), make(4)
    keep_layers(cut, [3, 1])
    expected = [layers_of(whole)[3], layers_of(whole)[1]]
    for found, wanted in zip(layers_of(cut), expected, strict=True):
        for a, b in zip(found.parameters(), wanted.parameters(), strict=True):
            assert torch.equal(a, b)
    assert len(hidden(cut)) == 3
    torch.testing.assert_close(hidden(cut)[0], hidden(whole)[0])


def test_keeping_every_layer_changes_nothing() -> None:
    whole, cut = bert(4), bert(4)
    keep_layers(cut, range(4))
    assert all(map(torch.equal, hidden(cut), hidden(whole)))


@pytest.mark.parametrize("make", [bert, roberta, distilbert])
def test_a_cut_model_comes_back_whole_from_disk(make: Any, tmp_path: Path) -> None:
    cut = make(4)
    keep_layers(cut, [0, 3])
    cut.save_pretrained(tmp_path)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert len(layers_of(again)) == 2
    assert all(map(torch.equal, hidden(again), hidden(cut)))


@pytest.mark.parametrize("layers", [[], [4], [-1], [0, 9]])
def test_a_layer_that_does_not_exist_is_refused(layers: list[int]) -> None:
    with pytest.raises(Refused, match="no such layer") as caught:
        keep_layers(bert(4), layers)
    assert caught.value.key == "student.layers"


@pytest.mark.parametrize(("make", "chosen"), [(bert, [1, 4]), (roberta, [5, 0])])
def test_a_student_filled_from_a_teacher_of_its_family_equals_the_teacher_cut(
    make: Any, chosen: list[int]
) -> None:
    teacher, student, cut = make(6), make(2, seed=1), make(6)
    copy_layers(teacher, student, chosen)
    keep_layers(cut, chosen)
    assert all(map(torch.equal, hidden(student), hidden(cut)))


def test_the_head_stays_the_students_own() -> None:
    teacher, student, before = bert(6), bert(2, seed=1), bert(2, seed=1)
    copy_layers(teacher, student, None)
    assert torch.equal(student.classifier.weight, before.classifier.weight)
    assert torch.equal(student.bert.pooler.dense.weight, teacher.bert.pooler.dense.weight)


def test_null_spreads_the_students_layers_over_the_teacher() -> None:
    teacher, student, cut = bert(6), bert(3, seed=1), bert(6)
    copy_layers(teacher, student, None)
    keep_layers(cut, spread(6, 3))
    assert all(map(torch.equal, hidden(student), hidden(cut)))


PARTS = {
    "attention.q_lin": "attention.self.query",
    "attention.k_lin": "attention.self.key",
    "attention.v_lin": "attention.self.value",
    "attention.out_lin": "attention.output.dense",
    "sa_layer_norm": "attention.output.LayerNorm",
    "ffn.lin1": "intermediate.dense",
    "ffn.lin2": "output.dense",
    "output_layer_norm": "output.LayerNorm",
}


def test_a_distilbert_takes_every_weight_of_a_berts_layers() -> None:
    teacher, student = bert(6), distilbert(3)
    copy_layers(teacher, student, [0, 3, 5])
    for at, origin in enumerate([0, 3, 5]):
        ours = dict(student.distilbert.transformer.layer[at].named_parameters())
        theirs = dict(teacher.bert.encoder.layer[origin].named_parameters())
        assert len(ours) == len(theirs) == 2 * len(PARTS)
        for part, source in PARTS.items():
            for kind in ("weight", "bias"):
                assert torch.equal(ours[f"{part}.{kind}"], theirs[f"{source}.{kind}"])
    ours = dict(student.distilbert.embeddings.named_parameters())
    theirs = dict(teacher.bert.embeddings.named_parameters())
    assert set(theirs) - set(ours) == {"token_type_embeddings.weight"}
    assert all(torch.equal(weight, theirs[name]) for name, weight in ours.items())


def test_the_copied_layers_compute_what_they_computed_in_the_bert() -> None:
    teacher, student = bert(6), distilbert(2)
    copy_layers(teacher, student, [1, 4])
    states = hidden(teacher)[0]
    found = run(student.distilbert.transformer.layer, states)
    expected = run([teacher.bert.encoder.layer[at] for at in (1, 4)], states)
    torch.testing.assert_close(found, expected)


def test_what_a_distilbert_lacks_is_berts_segment_embedding_and_nothing_else() -> None:
    teacher, student, cut = bert(6), distilbert(2), bert(6)
    copy_layers(teacher, student, [1, 4])
    keep_layers(cut, [1, 4])
    assert not torch.allclose(hidden(student)[0], hidden(cut)[0], atol=1e-3)
    with torch.no_grad():
        cut.bert.embeddings.token_type_embeddings.weight.zero_()
    for found, expected in zip(hidden(student), hidden(cut), strict=True):
        # Rows of padding are nobody's.
        torch.testing.assert_close(found[MASK.bool()], expected[MASK.bool()])


def test_as_many_layers_as_the_student_has_must_be_named() -> None:
    with pytest.raises(Refused, match="3 layers") as caught:
        copy_layers(bert(6), distilbert(3), [0, 5])
    assert "student.layers=[0, 2, 5]" in str(caught.value)


def test_a_student_of_another_width_or_family_is_refused() -> None:
    for teacher, student in (
        (bert(4, hidden_size=32), bert(2)),
        (bert(4, vocab_size=31), distilbert(2)),
        (roberta(4), distilbert(2)),
        (bert(4), roberta(2)),
    ):
        with pytest.raises(Refused, match="cannot be copied") as caught:
            copy_layers(teacher, student, None)
        assert caught.value.key == "student.start"
