"""Texts that a caller hands over: checked, and encoded as a learner reads them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from distill_runner.data.encoding import Encoder, Inputs
from distill_runner.errors import Refused

Text = str | tuple[str, str]  # one text, or the two of a pair


@dataclass(frozen=True)
class TextView:
    """What one learner reads of texts that are in memory (`data.encoding.View`).

    Args:
        encoder: the learner's.
        columns: by name, the token ids of every text.
    """

    encoder: Encoder
    columns: dict[str, list[np.ndarray]]

    @classmethod
    def encoded(cls, texts: Sequence[Text], encoder: Encoder) -> TextView:
        """The texts, all single or all pairs, in an encoder's tokens."""
        firsts = [text if isinstance(text, str) else text[0] for text in texts]
        pairs = [text[1] for text in texts if not isinstance(text, str)]
        ids = encoder.tokenize(firsts, pairs or None)
        return cls(encoder, {k: [np.asarray(row) for row in rows] for k, rows in ids.items()})

    @cached_property
    def lengths(self) -> np.ndarray:
        """Tokens of each text. [texts]."""
        return np.asarray([len(row) for row in self.columns["input_ids"]], dtype=np.int32)

    def inputs(self, rows: np.ndarray, epoch: int) -> Inputs:  # noqa: ARG002
        """The padded inputs of the texts at `rows`."""
        chosen = rows.tolist()
        return self.encoder.pad(
            {k: [ids[row] for row in chosen] for k, ids in self.columns.items()}
        )


def checked_texts(texts: Iterable[Text], *, pairs: bool) -> list[Text]:
    """The texts as a list.

    Args:
        texts: one by one; pairs as tuples or lists of two.
        pairs: whether the student was trained on pairs.

    Raises:
        Refused: they are not all texts, or not all pairs of texts.
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
            raise _refused(f"Item {at} is no {kind}.", text, pairs=pairs)
    return found


def _legible(text: object) -> bool:
    """Whether it is a text that can be encoded: half of a surrogate pair cannot."""
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
