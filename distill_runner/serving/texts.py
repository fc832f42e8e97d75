"""Checks a caller's texts, and encodes them for a learner."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from distill_runner.data.encoding import Encoder, Inputs
from distill_runner.errors import Refused
from distill_runner.evaluation.text_counts import TextCounts, count_tokens

Text = str | tuple[str, str]  # one text, or the two of a pair


@dataclass(frozen=True)
class TextView:
    """Texts in memory as one learner reads them (a `data.encoding.View`).

    Args:
        encoder: the learner's encoder.
        columns: for each input of the model, the ids of every text.
        counts: of the texts and their tokens.
    """

    encoder: Encoder
    columns: dict[str, list[np.ndarray]]
    counts: TextCounts

    @classmethod
    def encoded(cls, texts: Sequence[Text], encoder: Encoder) -> TextView:
        """Encode texts, either all single or all pairs."""
        ids, cut = encoder.tokenize_counted(*split_pairs(texts))
        return cls(
            encoder,
            {name: [np.asarray(row) for row in rows] for name, rows in ids.items()},
            count_tokens(ids["input_ids"], cut, encoder),
        )

    @cached_property
    def lengths(self) -> np.ndarray:
        """Tokens of each text. [texts]."""
        return np.asarray([len(row) for row in self.columns["input_ids"]], dtype=np.int32)

    def inputs(self, rows: np.ndarray, epoch: int) -> Inputs:  # noqa: ARG002
        """Return the padded inputs of the texts at `rows`."""
        chosen = rows.tolist()
        return self.encoder.pad(
            {k: [ids[row] for row in chosen] for k, ids in self.columns.items()}
        )


def split_pairs(texts: Sequence[Text]) -> tuple[list[str], list[str] | None]:
    """Return the first texts, and the second ones if the texts are pairs."""
    firsts = [text if isinstance(text, str) else text[0] for text in texts]
    seconds = [text[1] for text in texts if not isinstance(text, str)]
    return firsts, seconds or None


def checked_texts(texts: Iterable[Text], *, pairs: bool) -> list[Text]:
    """Return the texts as a list, pairs as tuples.

    Args:
        texts: single texts, or pairs as tuples or lists of two.
        pairs: whether the student was trained on pairs.

    Raises:
        Refused: an item is not a text, or not a pair of texts.
    """
    if isinstance(texts, str | bytes) or not isinstance(texts, Iterable):
        raise _refused("Several texts are expected.", texts, pairs=pairs)
    found: list[Text] = []
    for at, text in enumerate(texts):
        if pairs and isinstance(text, tuple | list) and len(text) == 2 and all(map(_legible, text)):
            found.append((text[0], text[1]))
        elif not pairs and _legible(text):
            found.append(text)
        else:
            kind = "pair of texts" if pairs else "text"
            raise _refused(f"Item {at} is not a {kind}.", text, pairs=pairs)
    return found


def _legible(text: object) -> bool:
    """Return whether `text` is a string that UTF-8 can encode, without lone surrogates."""
    if not isinstance(text, str):
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refused(what: str, value: object, *, pairs: bool) -> Refused:
    kinds = "a list of pairs" if pairs else "a list of texts"
    example = '[("a text", "another")]' if pairs else '["a text"]'
    return Refused(
        what,
        key="texts",
        value=repr(value)[:60],
        rule=f"{kinds}, as the student was trained on",
        way_out=f"predict({example})",
    )
