"""Noise on a sentence before a learner reads it; labels stay as they are.

Words are what whitespace separates, so the same noise serves every tokenizer.
Fresh every epoch, and addressed: what happens to a row is a function of
(seed, epoch, row id, copy), whatever batch or process it is in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from distill_runner.config.schema import Noise, NoiseKind
from distill_runner.errors import Refused
from distill_runner.runtime.seeding import generator_at

_MARKS = ".,;:!?)]}\"'…"  # punctuation that `replace_word` leaves at a word's end


def add_noise(
    text: str,
    *,
    kind: str,
    p: float,
    word: str,
    mask_token: str,
    generator: np.random.Generator,
) -> str:
    """`text` with noise of one kind.

    Each word is hit with probability `p`, independently; a text in which none is hit
    comes back as it was, whitespace included.

        none          nothing happens
        replace_word  the word becomes `word`, punctuation at its end stays
        mask          the word becomes `mask_token`, punctuation and all
        delete        the word goes; one word, drawn at random, survives when all would go
        swap          the word changes places with its right neighbour; from left to
                      right, and no word is moved twice

    Args:
        p: 0..1; 0 leaves the text untouched, 1 hits every word.
        mask_token: of the learner's own tokenizer, such as `[MASK]` or `<mask>`.

    Raises:
        Refused: `kind` is none of these, or `p` is outside 0..1.
    """
    if kind not in _KINDS:
        raise Refused(
            "There is no such kind of noise.",
            key="noise.kind",
            value=kind,
            rule="one of " + ", ".join(_KINDS),
        )
    if not 0.0 <= p <= 1.0:
        raise Refused("The chance of noise is a probability.", key="noise.p", value=p, rule="0..1")
    words = text.split()
    hit = (generator.random(len(words)) < p).tolist()
    if kind == "none" or not any(hit):
        return text
    replacement = mask_token if kind == "mask" else word
    return " ".join(_KINDS[kind](words, hit, replacement, generator))


def noisy(
    texts: Sequence[str],
    *,
    row_ids: Sequence[str],
    epoch: int,
    seed: int,
    noise: Noise,
    mask_token: str,
    copies: Sequence[int] | None = None,
) -> list[str]:
    """Every text with its own noise, a function of (seed, epoch, row id, copy) and the text.

    Args:
        row_ids: of the texts, in the same order; unique within the data.
        epoch: 0-based; another epoch draws other noise.
        copies: of a row that is repeated, which one each text is, from 0 on, so that each draws
            its own noise; None: no row is repeated.
    """
    if noise.kind is NoiseKind.none or noise.p == 0:
        return list(texts)
    return [
        add_noise(
            text,
            kind=noise.kind.value,
            p=noise.p,
            word=noise.word,
            mask_token=mask_token,
            # The first copy draws what a row that is not repeated does.
            generator=generator_at(seed, "noise", epoch, row_id, *([copy] if copy else [])),
        )
        for text, row_id, copy in zip(texts, row_ids, copies or [0] * len(texts), strict=True)
    ]


Hits = list[bool]


def _replace(words: list[str], hit: Hits, word: str, _: np.random.Generator) -> list[str]:
    return [
        word + old[len(old.rstrip(_MARKS)) :] if struck else old
        for old, struck in zip(words, hit, strict=True)
    ]


def _mask(words: list[str], hit: Hits, token: str, _: np.random.Generator) -> list[str]:
    return [token if struck else old for old, struck in zip(words, hit, strict=True)]


def _delete(words: list[str], hit: Hits, _: str, generator: np.random.Generator) -> list[str]:
    kept = [word for word, struck in zip(words, hit, strict=True) if not struck]
    return kept or [words[int(generator.random() * len(words))]]


def _swap(words: list[str], hit: Hits, _: str, __: np.random.Generator) -> list[str]:
    swapped = list(words)
    place = 0
    while place < len(words) - 1:
        if hit[place]:
            swapped[place], swapped[place + 1] = swapped[place + 1], swapped[place]
            place += 1  # the neighbour has been moved as well
        place += 1
    return swapped


_KINDS: dict[str, Callable[[list[str], Hits, str, np.random.Generator], list[str]]] = {
    "none": lambda words, *_: words,
    "replace_word": _replace,
    "mask": _mask,
    "delete": _delete,
    "swap": _swap,
}
