"""Finds texts that are contained in other texts, word for word."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

SHARED_WORDS = 3  # a contained text of at least this many words counts as shared material


class Phrases:
    """The texts contained in other texts as consecutive words, separated by single spaces.

    A text is searched only where its rarest run of `SHARED_WORDS` words occurs, so the work
    grows with the number of words, not with its square.

    Attributes:
        inside: for each text, the texts of at least `SHARED_WORDS` words that it contains.
        around: for each text, the texts that contain it.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        vocabulary: dict[str, int] = {}
        words = [[vocabulary.setdefault(w, len(vocabulary)) for w in t.split(" ")] for t in texts]
        self._sizes = [len(text) for text in words]
        self._starts = np.cumsum([0, *self._sizes])
        self._words = np.fromiter(chain.from_iterable(words), dtype=np.int64)
        self.inside: list[set[int]] = [set() for _ in texts]
        self.around: list[set[int]] = [set() for _ in texts]
        # Shorter texts are not shared material, but they are not maximal if contained.
        self._around_short: dict[int, set[int]] = {}
        runs = self._words
        self._search(1, runs)
        for length in range(2, SHARED_WORDS + 1):
            # Number the runs that are one word longer: equal numbers mean equal words.
            longer = runs[:-1] * len(vocabulary) + self._words[length - 1 :]
            runs = np.unique(longer, return_inverse=True)[1]
            self._search(length, runs)

    def __len__(self) -> int:
        return len(self._sizes)

    def touching(self, rows: Iterable[int]) -> set[int]:
        """Return the texts that contain one of `rows` or are contained in one."""
        return {other for row in rows for other in self.inside[row] | self.around[row]}

    def is_maximal(self, row: int, *, among: set[int]) -> bool:
        """Return whether no other text of `among` contains this one; it may be short."""
        around = self._around_short.get(row, self.around[row])
        return among.isdisjoint(around)

    def _search(self, length: int, runs: NDArray[np.int64]) -> None:
        """Find the texts of `length` words in other texts; for `SHARED_WORDS`, longer ones too.

        Args:
            runs: for each word, the number of the run of `length` words that starts there.
        """
        within_text = self._within_text(length)
        anchors = self._anchors(length, runs, np.bincount(runs[within_text], minlength=1))
        anchored = np.isin(runs, list(anchors)) & within_text
        places = np.flatnonzero(anchored)
        outers = np.searchsorted(self._starts, places, side="right") - 1
        found = zip(places.tolist(), outers.tolist(), runs[places].tolist(), strict=True)
        for place, outer, run in found:
            for inner, offset in anchors[run]:
                if inner != outer and self._is_at(inner, outer, place - offset):
                    self._note(inner, outer)

    def _within_text(self, length: int) -> NDArray[np.bool_]:
        """Return for each run whether it stays within its text."""
        ends = np.repeat(self._starts[1:], self._sizes)
        last = np.arange(len(ends)) + length
        within: NDArray[np.bool_] = (last <= ends)[: max(0, len(ends) - length + 1)]
        return within

    def _anchors(
        self, length: int, runs: NDArray[np.int64], frequency: NDArray[np.int64]
    ) -> dict[int, list[tuple[int, int]]]:
        """Return for each run the texts whose rarest run it is, and where it starts in them."""
        anchors: dict[int, list[tuple[int, int]]] = {}
        for row, size in enumerate(self._sizes):
            if size == length or size > length == SHARED_WORDS:
                start = int(self._starts[row])
                own = runs[start : start + size - length + 1]
                offset = int(frequency[own].argmin())
                anchors.setdefault(int(own[offset]), []).append((row, offset))
        return anchors

    def _is_at(self, inner: int, outer: int, place: int) -> bool:
        start, size = self._starts[inner], self._sizes[inner]
        if place < self._starts[outer] or place + size > self._starts[outer + 1]:
            return False
        return bool((self._words[place : place + size] == self._words[start : start + size]).all())

    def _note(self, inner: int, outer: int) -> None:
        if self._sizes[inner] < SHARED_WORDS:
            self._around_short.setdefault(inner, set()).add(outer)
        else:
            self.inside[outer].add(inner)
            self.around[inner].add(outer)


def whole_phrases(phrases: Phrases, alive: list[int], size: int, generator: Generator) -> list[int]:
    """Draw maximal phrases and the texts inside them, in random order, up to `size` rows."""
    candidates = set(alive)
    maximal = [n for n in alive if phrases.is_maximal(n, among=candidates)]
    order = [maximal[n] for n in generator.permutation(len(maximal))]
    chosen: set[int] = set()
    passed_over = []
    for outer in order:
        group = (({outer} | phrases.inside[outer]) & candidates) - chosen
        if len(chosen) + len(group) <= size:
            chosen |= group
        else:
            passed_over.append(outer)
    # If no whole group fits the gap, take a part of one; its other rows leave the pool.
    for outer in passed_over:
        group = (phrases.inside[outer] & candidates) - chosen
        chosen.update([outer, *sorted(group)][: size - len(chosen)])
    return sorted(chosen)
