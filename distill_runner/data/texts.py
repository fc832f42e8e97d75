"""The form in which texts are compared."""

from __future__ import annotations

import re

_WORD = re.compile(r"[\w']+")


def folded_words(text: str) -> str:
    """Return the text's case-folded words without punctuation, separated by single spaces."""
    folded = text.casefold()
    # A text without words is compared by its punctuation.
    return " ".join(_WORD.findall(folded)) or " ".join(folded.split())
