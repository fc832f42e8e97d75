"""Writes a search's report: README.md with the table, frontier.csv and frontier.svg."""

from __future__ import annotations

from distill_runner.search.found import Found
from distill_runner.search.picture import picture
from distill_runner.search.record import PICTURE, REPORT, TABLE, SearchFolder
from distill_runner.search.sheet import sheet
from distill_runner.search.table import (
    choice_lines,
    frontier_table,
    heading,
    notes,
    transformer_lines,
)


def write_report(folder: SearchFolder, found: Found) -> None:
    """Write the three files into the search's folder."""
    folder.write(TABLE, sheet(found))
    folder.write(PICTURE, picture(found))
    folder.write(REPORT, report(found))


def lines_of(found: Found) -> list[str]:
    """Return what a search prints at its end: table, notes, answer and choice."""
    return [
        heading(found),
        "",
        *frontier_table(found),
        "",
        *notes(found),
        "",
        *transformer_lines(found),
        "",
        *choice_lines(found),
    ]


def report(found: Found) -> str:
    """Return README.md: the printed lines, the picture, and the command of every student."""
    commands = [
        line
        for variant in found.words
        for line in (
            f"{variant.shape}, {variant.max_tokens} tokens:",
            "",
            "```bash",
            found.command(variant),
            "```",
            "",
        )
    ]
    return "\n".join(
        [
            "# The frontier of students",
            "",
            "```text",
            *lines_of(found),
            "```",
            "",
            f"![score against time and size]({PICTURE})",
            "",
            f"`{TABLE}` has every form of every student, and when the others were dropped.",
            "",
            "## The command that makes each student again",
            "",
            *commands,
        ]
    )
