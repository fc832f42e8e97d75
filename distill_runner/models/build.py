"""Small models of a known family, with a tokenizer of their own, made here from random.

They stand in for the hub's models in the offline profile: the same classes, the same
tokenizer algorithms, only smaller.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from distill_runner.errors import Refused
from distill_runner.schema import BuiltModel

_BERT_SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_ROBERTA_SPECIALS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def build(spec: BuiltModel, texts: Iterable[str], folder: Path, *, max_tokens: int) -> None:
    """Write `config.json` and a tokenizer trained on `texts` into `folder`; no weights.

    Raises:
        Refused: the family is not one of those that can be built.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".partial-"))
    try:
        tokenizer = _tokenizer(spec, texts, partial)
        tokenizer.save_pretrained(partial)
        _config(spec, tokenizer, max_tokens).save_pretrained(partial)
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _tokenizer(spec: BuiltModel, texts: Iterable[str], folder: Path) -> Any:
    from tokenizers import ByteLevelBPETokenizer
    from transformers import BertTokenizer, DistilBertTokenizer, RobertaTokenizer

    if spec.family == "roberta":
        bpe = ByteLevelBPETokenizer(lowercase=True)
        bpe.train_from_iterator(
            texts, vocab_size=spec.vocabulary, special_tokens=_ROBERTA_SPECIALS, show_progress=False
        )
        bpe.save_model(str(folder))
        return RobertaTokenizer(vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt"))
    vocabulary = folder / "vocab.txt"
    tokens = _wordpieces(texts, spec.vocabulary)
    vocabulary.write_text("\n".join(tokens) + "\n", encoding="utf-8")
    cls = DistilBertTokenizer if spec.family == "distilbert" else BertTokenizer
    return cls(vocab=str(vocabulary))


def _wordpieces(texts: Iterable[str], size: int) -> list[str]:
    """A WordPiece vocabulary: every character, then the pieces that occur most.

    The library's WordPiece trainer gives another vocabulary in every process; its BPE
    trainer does not, so the pieces are BPE's, marked by whether they begin a word.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    bpe = Tokenizer(models.BPE())
    bpe.normalizer = normalizers.BertNormalizer()
    bpe.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words: Counter[str] = Counter()
    for text in texts:
        normal = bpe.normalizer.normalize_str(text)
        words.update(word for word, _ in bpe.pre_tokenizer.pre_tokenize_str(normal))
    bpe.train_from_iterator(
        sorted(words.elements()), trainers.BpeTrainer(vocab_size=size, show_progress=False)
    )
    pieces: Counter[str] = Counter()
    for word, count in words.items():
        for at, piece in enumerate(bpe.encode(word).tokens):
            pieces[f"##{piece}" if at else piece] += count
    characters = sorted({character for word in words for character in word})
    alphabet = [form for character in characters for form in (character, f"##{character}")]
    frequent = sorted(pieces, key=lambda piece: (-pieces[piece], piece))
    return list(dict.fromkeys([*_BERT_SPECIALS, *alphabet, *frequent]))[:size]


def _config(spec: BuiltModel, tokenizer: Any, max_tokens: int) -> Any:
    from transformers import BertConfig, DistilBertConfig, RobertaConfig

    size = len(tokenizer)
    if spec.family == "distilbert":
        return DistilBertConfig(
            vocab_size=size,
            n_layers=spec.layers,
            dim=spec.width,
            n_heads=spec.heads,
            hidden_dim=spec.feedforward,
            max_position_embeddings=max_tokens,
            pad_token_id=tokenizer.pad_token_id,
        )
    common = {
        "vocab_size": size,
        "num_hidden_layers": spec.layers,
        "hidden_size": spec.width,
        "num_attention_heads": spec.heads,
        "intermediate_size": spec.feedforward,
        "pad_token_id": tokenizer.pad_token_id,
    }
    if spec.family == "bert":
        return BertConfig(max_position_embeddings=max_tokens, **common)
    if spec.family == "roberta":
        # RoBERTa counts positions from the padding id on.
        positions = max_tokens + tokenizer.pad_token_id + 1
        return RobertaConfig(max_position_embeddings=positions, type_vocab_size=1, **common)
    raise Refused(
        "A model of this family cannot be built here.",
        key="models.*.family",
        value=spec.family,
        rule="bert, roberta or distilbert",
    )
