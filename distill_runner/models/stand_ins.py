"""Builds small random models with their tokenizers from a few sizes.

They stand in for the hub's models in the offline profile, with the same model classes and the
same tokenizer algorithms.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from distill_runner.config.schema import BuiltModel
from distill_runner.errors import Refused

_BERT_SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_ROBERTA_SPECIALS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
_SPREAD = 0.02 * 768**0.5  # BERT's initialisation scale, times the square root of its width


def build(spec: BuiltModel, texts: Iterable[str], folder: Path, *, max_tokens: int) -> None:
    """Write `config.json` and a tokenizer trained on `texts` into `folder`; no weights.

    Args:
        spec: the family and the sizes.
        texts: the texts that the tokenizer is trained on.
        folder: where to write; created if missing.
        max_tokens: the longest text that the model must read, in tokens.

    Raises:
        Refused: the family is not bert, roberta or distilbert.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer(spec, texts, folder)
    tokenizer.save_pretrained(folder)
    _config(spec, tokenizer, max_tokens).save_pretrained(folder)


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
    """Return a WordPiece vocabulary of `size` entries, the same in every process."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    texts = list(texts)
    characters = {
        character
        for text in texts
        for character in tokenizer.normalizer.normalize_str(text)
        if not character.isspace()
    }
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        show_progress=False,
        # Otherwise the trainer numbers the characters in the order of a hash table whose seed
        # differs in every process, and breaks ties between pieces by number.
        special_tokens=[*_BERT_SPECIALS, *(f"##{one}" for one in sorted(characters))],
    )
    tokenizer.train_from_iterator(texts, trainer)
    ids = tokenizer.get_vocab()
    return sorted(ids, key=lambda token: ids[token])


def _config(spec: BuiltModel, tokenizer: Any, max_tokens: int) -> Any:
    from transformers import BertConfig, DistilBertConfig, RobertaConfig

    size = len(tokenizer)
    # With 0.02 a narrow model's logits hardly depend on the text, and some seeds never learn.
    spread = _SPREAD / spec.width**0.5
    if spec.family == "distilbert":
        return DistilBertConfig(
            vocab_size=size,
            n_layers=spec.layers,
            dim=spec.width,
            n_heads=spec.heads,
            hidden_dim=spec.feedforward,
            max_position_embeddings=max_tokens,
            pad_token_id=tokenizer.pad_token_id,
            dropout=spec.dropout,
            attention_dropout=spec.dropout,
            seq_classif_dropout=spec.dropout,
            initializer_range=spread,
        )
    common = {
        "vocab_size": size,
        "num_hidden_layers": spec.layers,
        "hidden_size": spec.width,
        "num_attention_heads": spec.heads,
        "intermediate_size": spec.feedforward,
        "pad_token_id": tokenizer.pad_token_id,
        "hidden_dropout_prob": spec.dropout,
        "attention_probs_dropout_prob": spec.dropout,
        "initializer_range": spread,
    }
    if spec.family == "bert":
        return BertConfig(max_position_embeddings=max_tokens, **common)
    if spec.family == "roberta":
        # RoBERTa numbers positions from the padding id + 1.
        positions = max_tokens + tokenizer.pad_token_id + 1
        return RobertaConfig(max_position_embeddings=positions, type_vocab_size=1, **common)
    raise Refused(
        "A model of this family cannot be built here.",
        key="models.*.family",
        value=spec.family,
        rule="bert, roberta or distilbert",
    )
