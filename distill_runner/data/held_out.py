"""Finds texts that must not be learnt from, since a score is computed on them or on parts of them.

A teacher's output for a test row would serve as the row's label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from distill_runner.data.phrases import Phrases
from distill_runner.data.texts import folded_words

if TYPE_CHECKING:
    from datasets import Dataset

Texts = tuple[str, ...]  # the one or two texts of a row


@dataclass(frozen=True)
class HeldOut:
    """The held-out rows, as other rows are compared with them.

    Args:
        texts: each row's texts, folded to words.
        groups: the rows' groups; empty if the rows have none.
        whole_phrases: whether a text that contains a held-out text, or is contained in one, is
            held out too.
    """

    texts: frozenset[str]
    groups: frozenset[str]
    whole_phrases: bool

    def contains(self, rows: Sequence[Texts], groups: Sequence[str] | None) -> list[bool]:
        """Return for each row whether it must not be learnt from.

        Args:
            rows: some thousands of rows; with `whole_phrases` the work for each call includes
                all held-out texts.
            groups: of the rows, if they have groups.
        """
        folded = [fold(row) for row in rows]
        found = [text in self.texts for text in folded]
        if groups is not None:
            found = [a or group in self.groups for a, group in zip(found, groups, strict=True)]
        if self.whole_phrases:
            known = [*self.texts]
            phrases = Phrases([*known, *folded])
            for row in phrases.touching(range(len(known))):
                if row >= len(known):
                    found[row - len(known)] = True
        return found


def held_out_rows(
    splits: Mapping[str, Dataset], names: Sequence[str], *, whole_phrases: bool
) -> HeldOut:
    """Collect the rows of the named splits, those of them that there are."""
    tables = [splits[name] for name in names if name in splits]
    return HeldOut(
        texts=frozenset(fold(row) for table in tables for row in texts_of(table)),
        groups=frozenset(
            group for table in tables if "group" in table.column_names for group in table["group"]
        ),
        whole_phrases=whole_phrases,
    )


def fold(row: Texts) -> str:
    """Return the row's texts in the form in which they are compared."""
    return "\t".join(map(folded_words, row))


def texts_of(table: Dataset) -> list[Texts]:
    """Return the one or two texts of each row of a prepared split."""
    names = [name for name in ("text", "text_pair") if name in table.column_names]
    return list(zip(*(list(table[name]) for name in names), strict=True))
