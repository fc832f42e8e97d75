"""Adds noise to texts before a learner reads them; labels are not changed.

Words are separated by whitespace, so the noise does not depend on the tokenizer. Every epoch
draws new noise: that of a row is a function of (seed, epoch, row id, copy), independent of batch
and process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from distill_runner.config.schema import Noise, NoiseKind
from distill_runner.errors import Refused
from distill_runner.runtime.seeding import generator_at

_MARKS = ".,;:!?)]}\"'…"  # punctuation that `replace_word` keeps at the end of a word


def add_noise(
    text: str,
    *,
    kind: str,
    p: float,
    word: str,
    mask_token: str,
    generator: np.random.Generator,
) -> str:
    """Add noise of one kind to `text`.

    Each word is chosen with probability `p`, independently. A text without a chosen word is
    returned unchanged, including its whitespace.

        none          no change
        replace_word  the word becomes `word`, but keeps the punctuation at its end
        mask          the word and its punctuation become `mask_token`
        delete        the word is removed; if all are chosen, one random word is kept
        swap          the word is swapped with its right neighbour, from left to right;
                      no word is moved twice

    Args:
        p: 0..1; 0 changes nothing, 1 chooses every word.
        mask_token: the mask token of the learner's tokenizer, such as `[MASK]` or `<mask>`.

    Raises:
        Refused: `kind` is unknown, or `p` is outside 0..1.
    """
    if kind not in _KINDS:
        raise Refused(
            "This kind of noise does not exist.",
            key="noise.kind",
            value=kind,
            rule="one of " + ", ".join(_KINDS),
        )
    if not 0.0 <= p <= 1.0:
        raise Refused(
            "The probability of noise is out of range.", key="noise.p", value=p, rule="0..1"
        )
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
    """Add noise to every text, as a function of (seed, epoch, row id, copy) and the text.

    Args:
        row_ids: the ids of the texts, in the same order; unique within the data.
        epoch: from 0; every epoch draws new noise.
        copies: the index of each copy of a repeated row, from 0, so that every copy has its own
            noise; None if no row is repeated.
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
            # The first copy gets the same noise as a row that is not repeated.
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
            place += 1  # the neighbour was moved too
        place += 1
    return swapped


_KINDS: dict[str, Callable[[list[str], Hits, str, np.random.Generator], list[str]]] = {
    "none": lambda words, *_: words,
    "replace_word": _replace,
    "mask": _mask,
    "delete": _delete,
    "swap": _swap,
}
