"""The form in which texts are compared."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence

_WORD = re.compile(r"[\w']+")


def folded_words(text: str) -> str:
    """Return the text's case-folded words without punctuation, separated by single spaces."""
    folded = text.casefold()
    # A text without words is compared by its punctuation.
    return " ".join(_WORD.findall(folded)) or " ".join(folded.split())


def text_sha256(texts: Sequence[str]) -> str:
    """Return the digest, 64 hex digits, by which a file of answers names a row.

    It is the SHA-256 of a text in UTF-8; for a pair, of the two texts as a JSON list without
    escapes, such as `["a question", "an answer"]`.

    Args:
        texts: the one or two texts of a row, as the data's file holds them.
    """
    whole = texts[0] if len(texts) == 1 else json.dumps(list(texts), ensure_ascii=False)
    # A lone surrogate, which JSON can escape, has no UTF-8.
    return hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()
