"""Text from files, folders and settings as a terminal may be given it.

A name may hold what a terminal obeys: colours, a cleared screen, a title, text that runs the
other way. Shown as `\\x1b`, such a character is seen and does nothing.
"""

from __future__ import annotations

import re

# C0 without tab and line break, DEL, C1, what turns the direction of text, halves of characters.
_OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def visible(text: str) -> str:
    """The text with every character that a terminal would obey written as an escape."""
    return _OBEYED.sub(_escape, text)


def on_one_line(name: str) -> str:
    """The same of a name, whose line breaks and tabs are no layout either."""
    return visible(name).replace("\n", "\\n").replace("\t", "\\t")


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
