"""Lists the words and sentence frames of the synthetic corpus.

The generator draws by position, so the order of every list affects the corpus.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Valued = tuple[str, float]  # words and their value; positive for praise


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
SUBJECTS = [f"the {noun}" for noun in _FILM + _PARTS + _OTHER]

# The head of each list is frequent, its tail rare: see `synthetic.Dice.zipf`.
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
STRONG = _words("very really truly remarkably extremely deeply absolutely utterly")
WEAK = _phrases("slightly|a bit|somewhat|rather|fairly|mildly")
DENIALS = _phrases(
    "nobody can claim that|I would not say that|few people would agree that|"
    "it is simply not true that|I cannot believe that|it is a myth that"
)
REMARKS = _phrases(
    "if you ask me|as far as I can tell|for what it is worth|on a rainy evening|at least to me|"
    "this time|like the one before it|seen from the back row|with two friends|last week|"
    "at this time of year|after a long day|in my opinion|by the way|on the second visit"
)

LATTER_DECIDES = _phrases(
    "{0}, but {1}|{0}, yet {1}|although {0}, {1}|{0}; however, {1}|while {0}, {1}|"
    "granted, {0}, but {1}|even if {0}, {1}"
)
FORMER_DECIDES = _phrases("{0}, although {1}|{0}, even if {1}|{0}, despite the fact that {1}")
ALONGSIDE = _phrases("{0} and {1}|{0}, and {1}|{0}; {1}|{0} because {1}|{0}; besides, {1}")
AT_ODDS = _phrases("{0} and {1}|on one side {0}, on the other {1}|{0}; {1}|{0} while {1}")


def _flat(rows: dict[float, str], sign: int) -> list[Valued]:
    return [(word, sign * value) for value, row in rows.items() for word in _words(row)]


def _even(words: Sequence[str], value: float) -> list[Valued]:
    return [(word, value) for word in words]


_FUL = [stem + "ful" for stem in _FUL_OR_LESS + _ONLY_FUL]
_LESS = [stem + "less" for stem in _FUL_OR_LESS + _ONLY_LESS]
ADJECTIVES = {+1: _flat(_PRAISE, +1), -1: _flat(_BLAME, -1)}
COMPOSED_WORDS = {
    +1: _even(_FUL + ["un" + word for word in _UN_PRAISE], +2.0),
    -1: _even(_LESS + ["un" + word for word in _UN_BLAME], -2.0),
}


@dataclass(frozen=True)
class Shape:
    """A kind of clause: {0} is the subject, {1} the opinion."""

    share: float
    words: dict[int, list[Valued]]  # by the sign of their value
    plain: list[str]
    negated: list[str]


def _both(words: dict[int, list[str]]) -> dict[int, list[Valued]]:
    return {sign: _even(row, 2.0 * sign) for sign, row in words.items()}


SHAPES = [
    Shape(
        0.50,
        ADJECTIVES,
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
    Shape(
        0.12,
        _both(_NOUNS),
        _phrases("{0} is a {1}|{0} was a real {1}|{0} turned out a {1}|{0} proved a {1}"),
        _phrases("{0} is not a {1}|{0} was never a {1}|{0} is no {1}|{0} is hardly a {1}"),
    ),
    Shape(
        0.12,
        _both(_QUALITIES),
        _phrases("{0} is full of {1}|{0} has plenty of {1}|{0} offers {1}|we got {1} from {0}"),
        _phrases("{0} lacks {1}|{0} is free of {1}|{0} has no {1}|there is hardly any {1} in {0}"),
    ),
    Shape(
        0.12,
        _both(_VERBS),
        _phrases("{0} {1} us|{0} {1} everyone|{0} still {1} me"),
        _phrases(
            "{0} never {1} us|{0} hardly ever {1} anyone|{0} no longer {1} me|{0} in no way {1} us"
        ),
    ),
    Shape(
        0.10,
        _both(_LIKES),
        _phrases("I {1} {0}|we all {1} {0}|my friends {1} {0}"),
        _phrases("I never {1} {0}|nobody {1} {0}|hardly any of us {1} {0}|not one of us {1} {0}"),
    ),
    Shape(
        0.04,
        {+1: _even([w + "ly" for w in _FUL], 2.0), -1: _even([w + "ly" for w in _LESS], -2.0)},
        _phrases("{0} unfolds {1}|{0} comes across {1}|{0} ends {1}|{0} is put together {1}"),
        _phrases("{0} never unfolds {1}|{0} is not put together {1}|{0} hardly ends {1}"),
    ),
]
