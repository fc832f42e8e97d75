"""A cut vocabulary spells every text, and cuts the texts that decided it as before."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from distill_runner import Refused
from distill_runner.export.vocabulary import VocabularyCut, count_tokens, cut

TEXTS = [f"{word} {rest}" for word in ("filming", "films", "unfit") for rest in ("was", "wasn't")]
OTHERS = ["misfilmed unfitting", "a new word: wafts", "FILM!", "", "naïve 漢字 ☂"]
ALL = [*TEXTS, *OTHERS, "words that only the whole vocabulary was made from, often often"]


def _wordpiece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    letters = sorted({f"##{one}" for one in "".join(ALL).lower() if one.isalpha()})
    special = ["[PAD]", "unused", "[UNK]", "[CLS]", "[SEP]", *letters]
    trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(ALL, trainer)
    ends = (("[SEP]", tokenizer.token_to_id("[SEP]")), ("[CLS]", tokenizer.token_to_id("[CLS]")))
    tokenizer.post_processor = processors.BertProcessing(*ends)
    return tokenizer


def _bpe() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=["<s>", "<pad>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(ALL, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


def _unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=150, special_tokens=["<pad>", "<unk>"], unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(ALL, trainer)
    return tokenizer


KINDS = {"WordPiece": _wordpiece, "BPE": _bpe, "Unigram": _unigram}
every_kind = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)


def cut_to(tokenizer: Tokenizer, texts: list[str], at_least: int = 1) -> VocabularyCut:
    seen = count_tokens(one.ids for one in tokenizer.encode_batch(texts))
    return cut(json.loads(tokenizer.to_str()), seen, at_least=at_least, pad_id=1)


@every_kind
def test_the_texts_that_decide_are_cut_as_before(make: Callable[[], Tokenizer]) -> None:
    whole = make()
    found = cut_to(whole, TEXTS)
    smaller = Tokenizer.from_str(json.dumps(found.state))
    assert smaller.get_vocab_size() == len(found.kept) < found.before == whole.get_vocab_size()
    for text in TEXTS:
        before, after = whole.encode(text), smaller.encode(text)
        assert after.tokens == before.tokens
        assert [found.kept[at] for at in after.ids] == before.ids


@every_kind
def test_other_texts_stay_as_legible_as_they_were(make: Callable[[], Tokenizer]) -> None:
    whole = make()
    smaller = Tokenizer.from_str(json.dumps(cut_to(whole, TEXTS).state))

    def unknown(tokenizer: Tokenizer) -> int:
        tokens = [one for text in OTHERS for one in tokenizer.encode(text).tokens]
        return sum(token in ("[UNK]", "<unk>") for token in tokens)

    assert unknown(smaller) == unknown(whole)
    assert any(smaller.encode(text).tokens != whole.encode(text).tokens for text in OTHERS)


@every_kind
def test_a_token_that_is_seen_too_seldom_goes(make: Callable[[], Tokenizer]) -> None:
    whole = make()
    assert len(cut_to(whole, TEXTS, at_least=3).kept) < len(cut_to(whole, TEXTS).kept)


def test_a_piece_that_cannot_be_spelt_stays() -> None:
    model = models.WordPiece({"[UNK]": 0, "a": 1, "##b": 2, "abc": 3, "ab": 4}, unk_token="[UNK]")
    tokenizer = Tokenizer(model)
    found = cut_to(tokenizer, ["a"])
    assert found.state["model"]["vocab"] == {"[UNK]": 0, "a": 1, "##b": 2, "abc": 3}


def test_the_tokens_below_the_padding_keep_their_numbers() -> None:
    state = json.loads(_bpe().to_str())
    assert cut(state, {}, at_least=1, pad_id=2).kept[:3] == (0, 1, 2)


def test_a_tokenizer_of_whole_words_is_refused() -> None:
    tokenizer = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    with pytest.raises(Refused, match="vocabulary of a WordLevel tokenizer cannot be cut"):
        cut_to(tokenizer, ["a"])
