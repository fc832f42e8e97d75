"""Text as a terminal may be given it: nothing that it obeys, lines broken between words.

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


def wrapped(text: str, width: int) -> str:
    """Every line broken between its words and indented as it was; no word is broken."""
    return "\n".join(
        line[: len(line) - len(line.lstrip(" "))] + piece
        for line in text.split("\n")
        for piece in _pieces(line.strip(" "), width - len(line) + len(line.lstrip(" ")))
    )


def _pieces(line: str, width: int) -> list[str]:
    """Lines of so many characters; a longer word has one of its own."""
    from rich.cells import cell_len  # here: most commands wrap nothing

    lines = [""]
    for word in line.split(" "):
        if lines[-1] and cell_len(f"{lines[-1]} {word}") > width:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}" if lines[-1] else word
    return lines


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
