"""Generates a sentiment corpus from a grammar, for runs without a data set.

Every clause has a value: the signed strength of its opinion word, changed by the words around
it. "Not" reverses a clause and "but" lets one clause overrule another, so counting words is not
enough and deeper models do better.

In every split a share of the labels is wrong on purpose, so that distillation can help: a
teacher's probabilities average over that noise, and a student learns from them what it would
otherwise need more labelled rows for. The wrong labels also limit accuracy: a tenth of them, to
90%.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from distill_runner.data.synthetic_grammar import (
    ADJECTIVES,
    ALONGSIDE,
    AT_ODDS,
    COMPOSED_WORDS,
    DENIALS,
    FORMER_DECIDES,
    LATTER_DECIDES,
    REMARKS,
    SHAPES,
    STRONG,
    SUBJECTS,
    WEAK,
    Shape,
    Valued,
)
from distill_runner.errors import Refused

LABEL_NOISE = 0.10  # share of rows whose label contradicts the text

# How sentences are built, as shares of all sentences; the rest have one clause.
CONTRAST = 0.10  # two contradicting clauses; the grammar says which one decides
AGREEMENT = 0.20  # two clauses with the same opinion
BALANCE = 0.02  # two contradicting clauses; the stronger decides
LATTER = 0.8  # share of the contrasts in which the second clause decides
FILLER = 0.10  # sentences with a remark that expresses no opinion

# Shares of clauses.
NEGATED = {+1: 0.08, -1: 0.28}  # by sign: "not good" is more common than "not bad"
DENIED = 0.01  # the whole clause follows "nobody can claim that"
GRADED = 0.40  # an intensifier before the opinion word
STEEPNESS = 3  # of word frequencies: 1 is flat
COMPOSED = 0.10  # opinion words with a morpheme that decides: un-, -ful, -less

REVERSED, STRONGER, WEAKER = -0.8, 1.5, 0.6  # factors on a clause's value
MARGIN = 0.8  # least absolute value of the sum if the stronger clause decides

T = TypeVar("T")


def generate(rows: int, seed: int) -> list[tuple[str, int]]:
    """Generate distinct sentences with labels: 0 negative, 1 positive.

    The classes are balanced, and a share `LABEL_NOISE` of the labels contradicts the texts. The
    same arguments give the same rows in every process.

    Raises:
        Refused: `rows` is negative.
    """
    if rows < 0:
        raise Refused(
            "The number of generated rows is negative.",
            key="dataset.generate",
            value=rows,
            rule="0 or more",
        )
    dice = Dice(np.random.default_rng(seed))
    labels = np.random.default_rng([seed, 1]).permutation(np.arange(rows) % 2)
    seen: set[str] = set()
    corpus = []
    for label in labels.tolist():
        meaning = 1 - label if dice.happens(LABEL_NOISE) else label
        text = _new_sentence(dice, +1 if meaning else -1, seen)
        corpus.append((text, label))
    return corpus


class Dice:
    """Random choices from one stream of uniform numbers."""

    def __init__(self, generator: np.random.Generator) -> None:
        self.uniform = generator.random

    def happens(self, share: float) -> bool:
        """Return True with probability `share`."""
        return self.uniform() < share

    def one_of(self, options: Sequence[T]) -> T:
        """Draw one of the options, all equally likely."""
        return options[int(self.uniform() * len(options))]

    def zipf(self, options: Sequence[T]) -> T:
        """Draw one of the options, earlier ones more likely."""
        return options[int(self.uniform() ** STEEPNESS * len(options))]

    def weighted(self, shapes: Sequence[Shape]) -> Shape:
        """Draw one of the shapes, by their shares."""
        rest = self.uniform()
        for shape in shapes[:-1]:
            rest -= shape.share
            if rest < 0:
                return shape
        return shapes[-1]


def _new_sentence(dice: Dice, sign: int, seen: set[str]) -> str:
    text = _sentence(dice, sign)
    while text in seen:
        text = _sentence(dice, sign)
    seen.add(text)
    return text


def _sentence(dice: Dice, sign: int) -> str:
    """Return a sentence whose opinion has the sign."""
    body = _body(dice, sign)
    if dice.happens(FILLER):
        remark = dice.one_of(REMARKS)
        body = f"{remark}, {body}" if dice.happens(0.5) else f"{body}, {remark}"
    return body[0].upper() + body[1:] + "."


def _body(dice: Dice, sign: int) -> str:
    kind = dice.uniform()
    if kind < CONTRAST:
        deciding, overruled = _clause(dice, sign)[0], _clause(dice, -sign)[0]
        if dice.happens(LATTER):
            return dice.zipf(LATTER_DECIDES).format(overruled, deciding)
        return dice.zipf(FORMER_DECIDES).format(deciding, overruled)
    if kind < CONTRAST + AGREEMENT:
        return dice.zipf(ALONGSIDE).format(_clause(dice, sign)[0], _clause(dice, sign)[0])
    if kind < CONTRAST + AGREEMENT + BALANCE:
        return _balance(dice, sign)
    return _clause(dice, sign)[0]


def _balance(dice: Dice, sign: int) -> str:
    """Return two contradicting clauses whose values' sum clearly has the sign."""
    while True:
        ours, other = _clause(dice, sign), _clause(dice, -sign)
        if sign * (ours[1] + other[1]) >= MARGIN:
            break
    first, second = (ours, other) if dice.happens(0.5) else (other, ours)
    return dice.zipf(AT_ODDS).format(first[0], second[0])


def _clause(dice: Dice, sign: int) -> Valued:
    """Return a clause whose value has the sign."""
    if dice.happens(DENIED):
        text, value = _plain_clause(dice, -sign)
        return f"{dice.one_of(DENIALS)} {text}", REVERSED * value
    return _plain_clause(dice, sign)


def _plain_clause(dice: Dice, sign: int) -> Valued:
    shape = dice.weighted(SHAPES)
    negated = dice.happens(NEGATED[sign])
    opinion, value = _opinion(dice, shape, -sign if negated else sign, negated=negated)
    frame = dice.zipf(shape.negated if negated else shape.plain)
    text = frame.format(dice.zipf(SUBJECTS), opinion)
    return text, REVERSED * value if negated else value


def _opinion(dice: Dice, shape: Shape, sign: int, *, negated: bool) -> Valued:
    """Return the clause's opinion word; adjectives may be composed and intensified."""
    if shape.words is not ADJECTIVES:
        return dice.zipf(shape.words[sign])
    word, value = dice.zipf((COMPOSED_WORDS if dice.happens(COMPOSED) else ADJECTIVES)[sign])
    if not dice.happens(GRADED):
        return word, value
    # Only strong intensifiers after a negation: "not a bit dull" is stronger than "not dull".
    if negated or dice.happens(0.6):
        return f"{dice.one_of(STRONG)} {word}", STRONGER * value
    return f"{dice.one_of(WEAK)} {word}", WEAKER * value
