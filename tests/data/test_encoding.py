"""What a learner reads is what its own tokenizer would have given it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from support.learners import FAMILIES, MAX_TOKENS, NewLearner

from distill_runner.config.schema import Noise, NoiseKind
from distill_runner.data.encoding import Encoder, Encoding, View, encode
from distill_runner.data.views import ChosenView, NoisyView
from distill_runner.models import loading

every_family = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture
def encoders(model_folders: dict[str, Path]) -> dict[str, Encoder]:
    return {
        family: loading.load_encoder(folder, MAX_TOKENS, key="student.model")
        for family, folder in model_folders.items()
    }


def table(texts: list[str], *, pairs: bool = False) -> Dataset:
    columns = {"id": [f"row {at}" for at in range(len(texts))], "text": texts}
    if pairs:
        columns["text_pair"] = texts[::-1]
    return Dataset.from_dict(columns)


def clean(texts: list[str], encoder: Encoder, store: Path, *, pairs: bool = False) -> Encoding:
    return encode(table(texts, pairs=pairs), encoder, fingerprint=f"{pairs}", store=store)


@every_family
@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("rows", [[0, 1, 2, 3, 4, 5, 6, 7], [5], [6, 0], [3, 3, 1]])
def test_padded_inputs_equal_the_tokenizers_own(
    texts: list[str],
    encoders: dict[str, Encoder],
    tmp_path: Path,
    family: str,
    pairs: bool,
    rows: list[int],
) -> None:
    encoder = encoders[family]
    found = clean(texts, encoder, tmp_path, pairs=pairs).inputs(np.array(rows))
    second = [texts[::-1][row] for row in rows] if pairs else None
    expected = encoder.tokenizer(
        [texts[row] for row in rows],
        second,
        padding=True,
        truncation=True,
        max_length=MAX_TOKENS,
        return_tensors="pt",
    )
    for name, tensor in found.items():
        assert torch.equal(tensor, expected[name]), name
    # One text's segment ids are all 0, which is what the model assumes where they are left out.
    for name in set(expected) - set(found):
        assert (name, bool(expected[name].any()), pairs) == ("token_type_ids", False, False)


def test_a_bert_gets_the_segment_of_each_token_of_two_texts(
    texts: list[str], encoders: dict[str, Encoder], tmp_path: Path
) -> None:
    found = clean(texts, encoders["bert"], tmp_path, pairs=True).inputs(np.array([0, 1]))
    assert found["token_type_ids"].unique().tolist() == [0, 1]


def test_roberta_pads_with_its_own_id_and_bert_with_zero(
    texts: list[str], encoders: dict[str, Encoder], tmp_path: Path
) -> None:
    for family, pad in (("bert", 0), ("distilbert", 0), ("roberta", 1)):
        found = clean(texts, encoders[family], tmp_path).inputs(np.array([4, 5]))
        hidden = found["attention_mask"] == 0
        assert hidden.any()
        assert found["input_ids"][hidden].unique().tolist() == [pad]
        assert (found["input_ids"][~hidden] != pad).all()


@every_family
def test_a_batchs_company_does_not_change_a_rows_logits(
    new_learner: NewLearner, texts: list[str], tmp_path: Path, family: str
) -> None:
    learner = new_learner(family)
    view = clean(texts, learner.encoder, tmp_path)
    with learner.evaluating(), torch.no_grad():
        alone = learner.logits(view.inputs(np.array([5])))
        together = learner.logits(view.inputs(np.array([4, 5, 6])))
    torch.testing.assert_close(together[1:2], alone)


@every_family
@pytest.mark.parametrize("pairs", [False, True])
def test_a_long_text_is_cut_to_the_limit_and_keeps_its_special_tokens(
    encoders: dict[str, Encoder], tmp_path: Path, family: str, pairs: bool
) -> None:
    encoder = encoders[family]
    long = clean(["good film " * 200, "no"], encoder, tmp_path, pairs=pairs)
    assert long.lengths[0] == MAX_TOKENS
    row = long.inputs(np.array([0]))["input_ids"][0]
    assert len(row) == MAX_TOKENS
    assert row[0] == encoder.tokenizer.cls_token_id
    assert row[-1] == encoder.tokenizer.sep_token_id


def test_lengths_are_the_rows_real_tokens(
    texts: list[str], encoders: dict[str, Encoder], tmp_path: Path
) -> None:
    view = clean(texts, encoders["bert"], tmp_path)
    mask = view.inputs(np.arange(len(texts)))["attention_mask"]
    assert view.lengths.tolist() == mask.sum(dim=1).tolist()


def test_a_table_is_tokenised_once(
    texts: list[str],
    encoders: dict[str, Encoder],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = clean(texts, encoders["bert"], tmp_path)

    def again(*_: object, **__: object) -> None:
        raise AssertionError("the rows were tokenised again")

    monkeypatch.setattr(Encoder, "tokenize", again)
    second = clean(texts, encoders["bert"], tmp_path)
    rows = np.arange(len(texts))
    assert torch.equal(first.inputs(rows)["input_ids"], second.inputs(rows)["input_ids"])
    with pytest.raises(AssertionError, match="again"):
        clean(texts, encoders["roberta"], tmp_path)


def test_an_encoders_key_knows_its_ids_and_its_limit(encoders: dict[str, Encoder]) -> None:
    keys = {encoder.key for encoder in encoders.values()}
    assert len(keys) == len(encoders)
    bert = encoders["bert"]
    assert Encoder(bert.tokenizer, MAX_TOKENS).key == bert.key
    assert Encoder(bert.tokenizer, MAX_TOKENS - 1).key != bert.key


@every_family
def test_an_encoders_key_is_the_same_after_use_and_from_a_saved_copy(
    encoders: dict[str, Encoder],
    model_folders: dict[str, Path],
    texts: list[str],
    tmp_path: Path,
    family: str,
) -> None:
    encoder = encoders[family]
    encoder.tokenize(texts)
    shutil.copy(model_folders[family] / "config.json", tmp_path)
    assert Encoder(encoder.tokenizer, MAX_TOKENS).key == encoder.key
    encoder.tokenizer(texts, padding="max_length", truncation=True, max_length=9)
    encoder.tokenizer.save_pretrained(tmp_path)
    assert loading.load_encoder(tmp_path, MAX_TOKENS, key="student.model").key == encoder.key


# --- noise -------------------------------------------------------------------------------


def noisy_view(
    texts: list[str], encoder: Encoder, store: Path, *, pairs: bool = False, **noise: object
) -> NoisyView:
    settings = {"kind": NoiseKind.delete, "p": 0.4, **noise}
    view = clean(texts, encoder, store, pairs=pairs)
    return NoisyView(view, table(texts, pairs=pairs), Noise(**settings), seed=5)  # type: ignore[arg-type]


def read(view: View, rows: list[int], epoch: int) -> list[list[int]]:
    """The real tokens of each row."""
    inputs = view.inputs(np.array(rows), epoch)
    return [
        ids[mask.bool()].tolist()
        for ids, mask in zip(inputs["input_ids"], inputs["attention_mask"], strict=True)
    ]


@pytest.mark.parametrize("pairs", [False, True])
def test_noise_is_drawn_anew_each_epoch_and_can_be_replayed(
    texts: list[str], encoders: dict[str, Encoder], tmp_path: Path, pairs: bool
) -> None:
    view = noisy_view(texts, encoders["bert"], tmp_path, pairs=pairs)
    rows = list(range(len(texts)))
    epochs = [read(view, rows, epoch) for epoch in range(3)]
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    assert read(view, rows, 1) == epochs[1]


def test_a_rows_noise_does_not_depend_on_its_batchs_company(
    texts: list[str], encoders: dict[str, Encoder], tmp_path: Path
) -> None:
    view = noisy_view(texts, encoders["bert"], tmp_path)
    together = read(view, [6, 4, 1, 2], 2)
    assert [read(view, [row], 2)[0] for row in (6, 4, 1, 2)] == together


def test_a_row_chosen_twice_is_read_with_two_noises(
    texts: list[str], encoders: dict[str, Encoder], tmp_path: Path
) -> None:
    whole = noisy_view(texts, encoders["bert"], tmp_path, p=0.5)
    view = ChosenView(whole, np.array([4, 6, 4, 1, 4, 6]))
    assert view.copies.tolist() == [0, 0, 1, 0, 2, 1]
    together = read(view, [0, 2, 4, 1, 5], 1)
    assert len({tuple(row) for row in together[:3]}) == 3
    # Whatever stands beside it, and in whatever order: the copy decides.
    assert [read(view, [at], 1)[0] for at in (0, 2, 4, 1, 5)] == together
    assert read(view, [5, 4], 1) == [together[4], together[2]]
    assert together[0] == read(whole, [4], 1)[0]
    assert read(view, [0, 2, 4, 1, 5], 2) != together


def test_a_row_chosen_twice_is_read_alike_without_noise(
    texts: list[str], encoders: dict[str, Encoder], tmp_path: Path
) -> None:
    view = ChosenView(clean(texts, encoders["bert"], tmp_path), np.array([3, 3]))
    first, second = read(view, [0, 1], 0)
    assert first == second


def test_two_learners_read_the_same_noise_each_in_its_own_tokens(
    texts: list[str], encoders: dict[str, Encoder], tmp_path: Path
) -> None:
    rows = [1, 4, 6]
    decoded = []
    for family in ("bert", "roberta"):
        encoder = encoders[family]
        view = noisy_view(texts, encoder, tmp_path)
        decoded.append(
            [
                "".join(encoder.tokenizer.decode(row, skip_special_tokens=True).split())
                for row in read(view, rows, 0)
            ]
        )
    assert decoded[0] == decoded[1]
    assert decoded[0] != ["".join(texts[row].split()) for row in rows]


@every_family
def test_masked_words_are_the_learners_own_mask_token(
    texts: list[str], encoders: dict[str, Encoder], tmp_path: Path, family: str
) -> None:
    encoder = encoders[family]
    view = noisy_view(texts, encoder, tmp_path, kind=NoiseKind.mask, p=1.0)
    specials = {encoder.tokenizer.cls_token_id, encoder.tokenizer.sep_token_id}
    (row,) = read(view, [4], 0)
    assert row.count(encoder.tokenizer.mask_token_id) == len(texts[4].split())
    assert (
        encoder.tokenizer.decode(row[1:-1]).replace(encoder.tokenizer.mask_token, "").strip() == ""
    )
    assert {row[0], row[-1]} == specials


def test_without_noise_the_noisy_view_reads_the_clean_text(
    texts: list[str], encoders: dict[str, Encoder], tmp_path: Path
) -> None:
    view = noisy_view(texts, encoders["bert"], tmp_path, p=0.0)
    rows = np.arange(len(texts))
    assert torch.equal(view.inputs(rows, 3)["input_ids"], view.clean.inputs(rows)["input_ids"])


def test_noise_that_lengthens_a_text_is_still_cut_to_the_limit(
    texts: list[str], encoders: dict[str, Encoder], tmp_path: Path
) -> None:
    view = noisy_view(
        texts, encoders["bert"], tmp_path, kind=NoiseKind.replace_word, p=1.0, word="the film"
    )
    assert len(read(view, [4], 0)[0]) == MAX_TOKENS
