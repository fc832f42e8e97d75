"""Hidden words: how many, which ones, what replaces them, and that a seed repeats them."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support.learners import NewLearner

from distill_runner.data.encoding import Encoder, Inputs
from distill_runner.data.masking import NONE, TARGETS, MaskedView, check_maskable
from distill_runner.errors import Refused


@dataclass(frozen=True)
class Rows:
    """Rows of random words between the special tokens, of many lengths."""

    encoder: Encoder
    tokens: list[np.ndarray]

    @property
    def lengths(self) -> np.ndarray:
        return np.array([len(row) for row in self.tokens])

    def inputs(self, rows: np.ndarray, epoch: int) -> Inputs:  # noqa: ARG002
        return self.encoder.pad({"input_ids": [self.tokens[row] for row in rows]})


ROWS = 1000


@pytest.fixture(scope="module")
def rows(new_learner: NewLearner) -> Rows:
    encoder, generator = new_learner("bert").encoder, np.random.default_rng(1)
    tokenizer = encoder.tokenizer
    words = [at for at in range(len(tokenizer)) if at not in tokenizer.all_special_ids]
    ends = tokenizer.cls_token_id, tokenizer.sep_token_id
    tokens = [
        np.array([ends[0], *generator.choice(words, generator.integers(3, 22)), ends[1]])
        for _ in range(ROWS)
    ]
    return Rows(encoder, tokens)


def masked(rows: Rows, *, share: float = 0.15, seed: int = 1) -> MaskedView:
    ids = [f"row-{at}" for at in range(ROWS)]
    return MaskedView(rows, ids, rows.encoder, share, seed)


def test_a_share_of_the_words_is_hidden_eight_in_ten_of_them_by_the_mask(rows: Rows) -> None:
    every = np.arange(ROWS)
    clean, found = rows.inputs(every, 0)["input_ids"], masked(rows).inputs(every, 0)
    hidden = found[TARGETS] != NONE
    words = sum(len(row) - 2 for row in rows.tokens)
    assert int(hidden.sum()) / words == pytest.approx(0.15, abs=0.01)
    read = found["input_ids"][hidden]
    behind = (read == rows.encoder.tokenizer.mask_token_id).float().mean()
    kept = (read == clean[hidden]).float().mean()
    assert float(behind) == pytest.approx(0.8, abs=0.03)
    assert float(kept) == pytest.approx(0.1, abs=0.03)
    assert torch.equal(found[TARGETS][hidden], clean[hidden])
    assert torch.equal(found["input_ids"][~hidden], clean[~hidden])


def test_special_tokens_and_padding_are_never_hidden_and_never_put_in(rows: Rows) -> None:
    every = np.arange(ROWS)
    clean = rows.inputs(every, 0)["input_ids"].numpy()
    found = masked(rows, share=0.9).inputs(every, 0)
    tokenizer = rows.encoder.tokenizer
    specials = np.isin(clean, tokenizer.all_special_ids)
    assert (found[TARGETS].numpy()[specials] == NONE).all()
    read = found["input_ids"].numpy()
    assert (read[specials] == clean[specials]).all()
    other = set(tokenizer.all_special_ids) - {tokenizer.mask_token_id}
    assert not np.isin(read[~specials], list(other)).any()


def test_what_is_hidden_is_a_function_of_seed_epoch_and_row(rows: Rows) -> None:
    view = masked(rows)
    one = view.inputs(np.array([3]), 2)
    width = one["input_ids"].shape[1]
    # In other company, with other padding.
    among = view.inputs(np.arange(64), 2)
    for name in ("input_ids", TARGETS):
        assert torch.equal(among[name][3, :width], one[name][0])
    again = masked(rows).inputs(np.arange(64), 2)
    assert all(torch.equal(again[name], values) for name, values in among.items())
    others = [view.inputs(np.arange(64), 3), masked(rows, seed=2).inputs(np.arange(64), 2)]
    assert not any(torch.equal(other[TARGETS], among[TARGETS]) for other in others)


def test_a_tokenizer_without_a_mask_token_is_refused() -> None:
    encoder = SimpleNamespace(tokenizer=SimpleNamespace(mask_token_id=None))
    with pytest.raises(Refused, match="cannot learn from masked words"):
        check_maskable(encoder, key="student.model")  # type: ignore[arg-type]
