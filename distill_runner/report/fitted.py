"""Fits tables into the terminal: names wrap between words, figures never wrap."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from distill_runner.console.printable import on_one_line

_MOST_LINES = 3  # that a name may take before columns move to another table
_HEADING_LINES = 2


@dataclass(frozen=True)
class Row:
    """Cells from left to right; `style` is rich's."""

    cells: Sequence[str]
    style: str = ""


@dataclass(frozen=True)
class Fitted:
    """A table of names and figures.

    Columns that do not fit go to further tables below, each of which repeats the first column.

    Args:
        title: above the table.
        columns: titles from left to right.
        rows: as many cells as columns.
        names: titles of the columns that hold text and may wrap; the others hold figures.
        caption: below the table.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Row]
    names: Collection[str]
    caption: str | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(on_one_line(self.title), style="bold", overflow="fold")
        for shown in self._parts(options.max_width):
            yield self._table(shown, options.max_width)
        if self.caption:
            yield Text(on_one_line(self.caption), style="bold", overflow="fold")

    def _parts(self, width: int) -> Iterator[list[int]]:
        """Yield the columns of each table, by index; every table begins with column 0."""
        left = list(range(1, len(self.columns)))
        while left:
            count = len(left)
            while count > 1 and self._needed([0, *left[:count]]) > width:
                count -= 1
            yield [0, *left[:count]]
            left = left[count:]

    def _table(self, shown: Sequence[int], width: int) -> Table:
        table = Table(box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False, padding=(0, 1))
        widths = self._widths(shown, width)
        for at, wide in zip(shown, widths, strict=True):
            name = self.columns[at] in self.names
            table.add_column(
                Text(break_lines(self.columns[at], wide), style="bold"),
                justify="left" if name else "right",
                width=wide,
                overflow="fold",
            )
        for row in self.rows:
            cells = [
                Text(break_lines(self._cell(row, at), wide))
                for at, wide in zip(shown, widths, strict=True)
            ]
            table.add_row(*cells, style=row.style)
        return table

    def _widths(self, shown: Sequence[int], width: int) -> list[int]:
        """Return the columns' widths; spare width goes to the column with the most lines."""
        widths = [self._narrowest(at) for at in shown]
        for _ in range(width - _gaps(shown) - sum(widths)):
            lines = [self._lines(at, wide) for at, wide in zip(shown, widths, strict=True)]
            if max(lines) == 1:
                break
            widths[lines.index(max(lines))] += 1
        return widths

    def _needed(self, shown: Sequence[int]) -> int:
        return _gaps(shown) + sum(map(self._narrowest, shown))

    def _narrowest(self, at: int) -> int:
        lines = _MOST_LINES if self.columns[at] in self.names else 1
        cells = [least_width(self._cell(row, at), lines) for row in self.rows]
        return max([least_width(self.columns[at], _HEADING_LINES), *cells])

    def _lines(self, at: int, width: int) -> int:
        cells = [self.columns[at], *(self._cell(row, at) for row in self.rows)]
        return max(break_lines(cell, width).count("\n") + 1 for cell in cells)

    @staticmethod
    def _cell(row: Row, at: int) -> str:
        return on_one_line(row.cells[at])


def _gaps(shown: Sequence[int]) -> int:
    """Count the characters between the columns and at the edges."""
    return 2 * len(shown)


def break_lines(text: str, width: int) -> str:
    """Insert line breaks after spaces, hyphens, slashes and underscores."""
    lines = [""]
    for piece in _pieces(text):
        if lines[-1] and cell_len((lines[-1] + piece).rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return "\n".join(line.rstrip(" ") for line in lines)


def least_width(text: str, lines: int) -> int:
    """Return the smallest width in which the text takes at most `lines` lines."""
    width = max((cell_len(piece.rstrip()) for piece in _pieces(text)), default=0)
    while break_lines(text, width).count("\n") + 1 > lines:
        width += 1
    return width


def _pieces(text: str) -> list[str]:
    return [piece for piece in re.split(r"(?<=[-/_ ])(?=[^-/_ ])", text) if piece]
