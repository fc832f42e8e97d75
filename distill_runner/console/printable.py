"""Makes text safe to print: control characters are escaped, lines are wrapped between words.

A name may contain control sequences that change colours, clear the screen, set the window title
or reverse the text. Escaped as `\\x1b`, such a character is visible and has no effect.
"""

from __future__ import annotations

import re

# C0 except tab and line feed, DEL, C1, direction marks, lone surrogates.
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def escape_controls(text: str) -> str:
    """Escape every control character of a text."""
    return _CONTROL.sub(_escape, text)


def on_one_line(name: str) -> str:
    """Escape the control characters, line feeds and tabs of a name."""
    return escape_controls(name).replace("\n", "\\n").replace("\t", "\\t")


def wrap_lines(text: str, width: int) -> str:
    """Wrap every line between words, which are never broken, and keep its indentation."""
    return "\n".join(
        line[: len(line) - len(line.lstrip(" "))] + piece
        for line in text.split("\n")
        for piece in _pieces(line.strip(" "), width - len(line) + len(line.lstrip(" ")))
    )


def _pieces(line: str, width: int) -> list[str]:
    """Split a line into pieces of at most `width` cells; a longer word stays whole."""
    from rich.cells import cell_len  # imported here because most commands wrap nothing

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
