"""A sentiment corpus from a grammar of our own, for a machine that has no data set.

Every clause has a value: its opinion word's signed strength, changed by the words around
it. "Not" turns a clause round and "but" lets one clause overrule another, so counting
words leaves a gap which a deeper model can close.

It is made so that there is something to distil. A share of the labels, in every split, is
wrong on purpose: a teacher's probabilities average over that noise, and a student learns
from them what it would need more rows to learn from the labels. The wrong labels of the
test rows also set a ceiling: with a tenth of them, 90% accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from distill_runner.errors import Refused

LABEL_NOISE = 0.10  # share of rows whose label contradicts the text

# How sentences are built, as shares of all sentences; the rest have one clause.
CONTRAST = 0.10  # two clauses at odds, the grammar says which one decides
AGREEMENT = 0.20  # two clauses of one opinion
BALANCE = 0.02  # two clauses at odds, the stronger decides
LATTER = 0.8  # of the contrasts: the second clause decides
FILLER = 0.10  # sentences with a remark that holds no opinion

# Shares of clauses.
NEGATED = {+1: 0.08, -1: 0.28}  # by the clause's sign: "not good" is commoner than "not bad"
DENIED = 0.01  # the whole clause stands under "nobody can claim that"
GRADED = 0.40  # an intensifier before the opinion word
STEEPNESS = 3  # of word frequencies: 1 is flat
COMPOSED = 0.10  # opinion words with a morpheme that decides: un-, -ful, -less

REVERSED, STRONGER, WEAKER = -0.8, 1.5, 0.6  # factors on a clause's value
MARGIN = 0.8  # least absolute value of "the stronger decides"

T = TypeVar("T")
Valued = tuple[str, float]  # words and their value; above 0 is praise


def _words(row: str) -> list[str]:
    return row.split()


def _phrases(row: str) -> list[str]:
    return row.split("|")


_FILM = _words(
    "plot story acting ending script dialogue cast soundtrack camera lead villain sequel "
    "pacing editing finale opening setting premise humour romance narrator heroine"
)
_OTHER = _words(
    "novel album concert exhibition meal soup dessert waiter menu hotel room breakfast "
    "view staff garden lobby phone screen battery keyboard speaker case manual app game "
    "level puzzle tutorial lecture tour guide museum ferry service design sound delivery "
    "packaging support price"
)
_PARTS = _phrases(
    "first half|second half|final act|opening scene|main character|title song|middle part|"
    "whole thing|last chapter|evening show|new version|corner table|front desk|side story"
)
_SUBJECTS = [f"the {noun}" for noun in _FILM + _PARTS + _OTHER]

# The head of each list is frequent, its tail rare: see `_Dice.zipf`.
_PRAISE = {
    1.0: "nice decent pleasant likeable tidy solid agreeable fitting capable adequate",
    2.0: "good clever charming funny convincing inspired engaging appealing imaginative "
    "original satisfying interesting rewarding believable lively elegant polished fresh "
    "refreshing witty subtle gripping touching heartfelt crisp sincere graceful",
    3.0: "great wonderful brilliant superb excellent perfect outstanding magnificent "
    "stunning marvellous dazzling splendid glorious exquisite flawless masterly",
}
_BLAME = {
    1.0: "slow uneven thin noisy forgettable predictable bland modest dated stiff",
    2.0: "bad boring poor dull weak clumsy tedious tired stale shallow annoying confusing "
    "lazy cold messy crude silly bloated sloppy tiresome irritating disappointing grim "
    "hollow muddled sluggish murky contrived",
    3.0: "awful terrible horrible dreadful disastrous miserable appalling abysmal "
    "atrocious insufferable unbearable wretched ghastly excruciating",
}
_FUL_OR_LESS = _words(
    "hope taste thought grace cheer skill purpose art joy care meaning use power fruit "
    "colour flavour tact soul"
)
_ONLY_FUL = _words("delight peace master wonder")
_ONLY_LESS = _words("point life humour spirit aim charm heart wit sense mind")
_UN_BLAME = _words(
    "convincing inspired engaging appealing imaginative original satisfying interesting "
    "rewarding believable pleasant polished fitting likeable charming touching"
)
_UN_PRAISE = _words("forgettable predictable hurried cluttered pretentious contrived dated")

_NOUNS = {
    +1: _words("triumph delight gem pleasure treat wonder joy marvel masterpiece success"),
    -1: _words("mess bore disaster chore waste failure shame letdown nuisance blunder"),
}
_QUALITIES = {
    +1: _words("charm wit warmth tension energy depth style heart insight flair polish soul"),
    -1: _words("cliches padding noise nonsense clutter errors gimmicks holes filler fuss"),
}
_VERBS = {
    +1: _words("charms moves rewards delights impresses cheers thrills enchants amuses"),
    -1: _words("bores annoys tires irritates insults confuses disappoints frustrates wearies"),
}
_LIKES = {
    +1: _words("loved liked enjoyed admired adored praised recommended treasured"),
    -1: _words("hated disliked regretted loathed resented despised dreaded detested"),
}
_STRONG = _words("very really truly remarkably extremely deeply absolutely utterly")
_WEAK = _phrases("slightly|a bit|somewhat|rather|fairly|mildly")
_DENIALS = _phrases(
    "nobody can claim that|I would not say that|few people would agree that|"
    "it is simply not true that|I cannot believe that|it is a myth that"
)
_REMARKS = _phrases(
    "if you ask me|as far as I can tell|for what it is worth|on a rainy evening|at least to me|"
    "this time|like the one before it|seen from the back row|with two friends|last week|"
    "at this time of year|after a long day|in my opinion|by the way|on the second visit"
)

_LATTER_DECIDES = _phrases(
    "{0}, but {1}|{0}, yet {1}|although {0}, {1}|{0}; however, {1}|while {0}, {1}|"
    "granted, {0}, but {1}|even if {0}, {1}"
)
_FORMER_DECIDES = _phrases("{0}, although {1}|{0}, even if {1}|{0}, despite the fact that {1}")
_ALONGSIDE = _phrases("{0} and {1}|{0}, and {1}|{0}; {1}|{0} because {1}|{0}; besides, {1}")
_AT_ODDS = _phrases("{0} and {1}|on one side {0}, on the other {1}|{0}; {1}|{0} while {1}")


def _flat(rows: dict[float, str], sign: int) -> list[Valued]:
    return [(word, sign * value) for value, row in rows.items() for word in _words(row)]


def _even(words: Sequence[str], value: float) -> list[Valued]:
    return [(word, value) for word in words]


_FUL = [stem + "ful" for stem in _FUL_OR_LESS + _ONLY_FUL]
_LESS = [stem + "less" for stem in _FUL_OR_LESS + _ONLY_LESS]
_ADJECTIVES = {+1: _flat(_PRAISE, +1), -1: _flat(_BLAME, -1)}
_COMPOSED = {
    +1: _even(_FUL + ["un" + word for word in _UN_PRAISE], +2.0),
    -1: _even(_LESS + ["un" + word for word in _UN_BLAME], -2.0),
}


@dataclass(frozen=True)
class _Shape:
    """A kind of clause: {0} is the subject, {1} the opinion."""

    share: float
    words: dict[int, list[Valued]]  # by the sign of their value
    plain: list[str]
    negated: list[str]


def _both(words: dict[int, list[str]]) -> dict[int, list[Valued]]:
    return {sign: _even(row, 2.0 * sign) for sign, row in words.items()}


_SHAPES = [
    _Shape(
        0.50,
        _ADJECTIVES,
        _phrases(
            "{0} is {1}|{0} was {1}|{0} seems {1}|{0} felt {1}|{0} looks {1}|{0} remains {1}|"
            "{0} turned out to be {1}|I found {0} {1}|we thought {0} {1}"
        ),
        _phrases(
            "{0} is not {1}|{0} was never {1}|{0} is hardly {1}|{0} is by no means {1}|"
            "{0} is anything but {1}|{0} is far from {1}|{0} does not seem {1}|"
            "nobody found {0} {1}"
        ),
    ),
    _Shape(
        0.12,
        _both(_NOUNS),
        _phrases("{0} is a {1}|{0} was a real {1}|{0} turned out a {1}|{0} proved a {1}"),
        _phrases("{0} is not a {1}|{0} was never a {1}|{0} is no {1}|{0} is hardly a {1}"),
    ),
    _Shape(
        0.12,
        _both(_QUALITIES),
        _phrases("{0} is full of {1}|{0} has plenty of {1}|{0} offers {1}|we got {1} from {0}"),
        _phrases("{0} lacks {1}|{0} is free of {1}|{0} has no {1}|there is hardly any {1} in {0}"),
    ),
    _Shape(
        0.12,
        _both(_VERBS),
        _phrases("{0} {1} us|{0} {1} everyone|{0} still {1} me"),
        _phrases(
            "{0} never {1} us|{0} hardly ever {1} anyone|{0} no longer {1} me|{0} in no way {1} us"
        ),
    ),
    _Shape(
        0.10,
        _both(_LIKES),
        _phrases("I {1} {0}|we all {1} {0}|my friends {1} {0}"),
        _phrases("I never {1} {0}|nobody {1} {0}|hardly any of us {1} {0}|not one of us {1} {0}"),
    ),
    _Shape(
        0.04,
        {+1: _even([w + "ly" for w in _FUL], 2.0), -1: _even([w + "ly" for w in _LESS], -2.0)},
        _phrases("{0} unfolds {1}|{0} comes across {1}|{0} ends {1}|{0} is put together {1}"),
        _phrases("{0} never unfolds {1}|{0} is not put together {1}|{0} hardly ends {1}"),
    ),
]


def generate(rows: int, seed: int) -> list[tuple[str, int]]:
    """`rows` distinct sentences with their labels: 0 negative, 1 positive.

    The labels are balanced to the row, and `LABEL_NOISE` of them contradict their text.
    The same arguments give the same rows in every process.

    Raises:
        Refused: `rows` is negative.
    """
    if rows < 0:
        raise Refused(
            "A corpus cannot have a negative number of rows.",
            key="dataset.generate",
            value=rows,
            rule="0 or more",
        )
    dice = _Dice(np.random.default_rng(seed))
    labels = np.random.default_rng([seed, 1]).permutation(np.arange(rows) % 2)
    seen: set[str] = set()
    corpus = []
    for label in labels.tolist():
        meaning = 1 - label if dice.happens(LABEL_NOISE) else label
        text = _new_sentence(dice, +1 if meaning else -1, seen)
        corpus.append((text, label))
    return corpus


class _Dice:
    """Choices from one stream of uniform numbers."""

    def __init__(self, generator: np.random.Generator) -> None:
        self.uniform = generator.random

    def happens(self, share: float) -> bool:
        return self.uniform() < share

    def one_of(self, options: Sequence[T]) -> T:
        return options[int(self.uniform() * len(options))]

    def zipf(self, options: Sequence[T]) -> T:
        """The earlier an option stands, the likelier it is."""
        return options[int(self.uniform() ** STEEPNESS * len(options))]

    def weighted(self, shapes: Sequence[_Shape]) -> _Shape:
        rest = self.uniform()
        for shape in shapes[:-1]:
            rest -= shape.share
            if rest < 0:
                return shape
        return shapes[-1]


def _new_sentence(dice: _Dice, sign: int, seen: set[str]) -> str:
    text = _sentence(dice, sign)
    while text in seen:
        text = _sentence(dice, sign)
    seen.add(text)
    return text


def _sentence(dice: _Dice, sign: int) -> str:
    """One sentence that means `sign`."""
    body = _body(dice, sign)
    if dice.happens(FILLER):
        remark = dice.one_of(_REMARKS)
        body = f"{remark}, {body}" if dice.happens(0.5) else f"{body}, {remark}"
    return body[0].upper() + body[1:] + "."


def _body(dice: _Dice, sign: int) -> str:
    kind = dice.uniform()
    if kind < CONTRAST:
        deciding, overruled = _clause(dice, sign)[0], _clause(dice, -sign)[0]
        if dice.happens(LATTER):
            return dice.zipf(_LATTER_DECIDES).format(overruled, deciding)
        return dice.zipf(_FORMER_DECIDES).format(deciding, overruled)
    if kind < CONTRAST + AGREEMENT:
        return dice.zipf(_ALONGSIDE).format(_clause(dice, sign)[0], _clause(dice, sign)[0])
    if kind < CONTRAST + AGREEMENT + BALANCE:
        return _balance(dice, sign)
    return _clause(dice, sign)[0]


def _balance(dice: _Dice, sign: int) -> str:
    """Two clauses at odds whose sum has the sign asked for, clearly."""
    while True:
        ours, other = _clause(dice, sign), _clause(dice, -sign)
        if sign * (ours[1] + other[1]) >= MARGIN:
            break
    first, second = (ours, other) if dice.happens(0.5) else (other, ours)
    return dice.zipf(_AT_ODDS).format(first[0], second[0])


def _clause(dice: _Dice, sign: int) -> Valued:
    """A clause whose value has the sign asked for."""
    if dice.happens(DENIED):
        text, value = _plain_clause(dice, -sign)
        return f"{dice.one_of(_DENIALS)} {text}", REVERSED * value
    return _plain_clause(dice, sign)


def _plain_clause(dice: _Dice, sign: int) -> Valued:
    shape = dice.weighted(_SHAPES)
    negated = dice.happens(NEGATED[sign])
    opinion, value = _opinion(dice, shape, -sign if negated else sign, negated=negated)
    frame = dice.zipf(shape.negated if negated else shape.plain)
    text = frame.format(dice.zipf(_SUBJECTS), opinion)
    return text, REVERSED * value if negated else value


def _opinion(dice: _Dice, shape: _Shape, sign: int, *, negated: bool) -> Valued:
    """The word that carries the clause's value; adjectives may be composed and graded."""
    if shape.words is not _ADJECTIVES:
        return dice.zipf(shape.words[sign])
    word, value = dice.zipf((_COMPOSED if dice.happens(COMPOSED) else _ADJECTIVES)[sign])
    if not dice.happens(GRADED):
        return word, value
    # "Not a bit dull" says more than "not dull": after a negation only the strong ones.
    if negated or dice.happens(0.6):
        return f"{dice.one_of(_STRONG)} {word}", STRONGER * value
    return f"{dice.one_of(_WEAK)} {word}", WEAKER * value
