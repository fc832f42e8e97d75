"""Counts texts that are cut and tokens that are unknown, and compares them with training's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from distill_runner.data.encoding import Encoder
from distill_runner.models.untrusted import count_unknown
from distill_runner.results.origins import TextShares

# Shares are unlike training's if they are this many times as large, and this much larger.
_TIMES, _MORE = 2.0, 0.01


@dataclass(frozen=True)
class TextCounts:
    """What a tokenizer made of some texts.

    Args:
        texts: number of texts, or pairs.
        cut: texts that are longer than the limit of tokens.
        tokens: ordinary tokens, without special ones.
        unknown: tokens among them that stand for words outside the vocabulary.
    """

    texts: int = 0
    cut: int = 0
    tokens: int = 0
    unknown: int = 0

    def __add__(self, other: TextCounts) -> TextCounts:
        return TextCounts(
            self.texts + other.texts,
            self.cut + other.cut,
            self.tokens + other.tokens,
            self.unknown + other.unknown,
        )

    @property
    def shares(self) -> TextShares:
        """The share of texts that are cut, and the share of tokens that are unknown."""
        return TextShares(
            cut=self.cut / max(1, self.texts), unknown=self.unknown / max(1, self.tokens)
        )


def count_tokens(ids: Sequence[Sequence[int]], cut: int, encoder: Encoder) -> TextCounts:
    """Count the texts' tokens.

    Args:
        ids: the token ids of each text, special tokens included.
        cut: how many of the texts were cut.
        encoder: of the texts.
    """
    import pyarrow as pa

    column = pa.array([list(row) for row in ids], pa.list_(pa.int64()))
    unknown, tokens = count_unknown([column], encoder.tokenizer)
    return TextCounts(texts=len(ids), cut=cut, tokens=tokens, unknown=unknown)


def differs(here: float, in_training: float) -> bool:
    """Return whether a share is clearly larger than in training: twice, and by a point or more."""
    return here >= _TIMES * in_training and here - in_training >= _MORE


def count_texts(texts: Sequence[str], pairs: Sequence[str] | None, encoder: Encoder) -> TextCounts:
    """Count the tokens of texts, or of pairs, that are not encoded yet."""
    ids, cut = encoder.tokenize_counted(texts, pairs)
    return count_tokens(ids["input_ids"], cut, encoder)
