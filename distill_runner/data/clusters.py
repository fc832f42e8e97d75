"""Finds the rows of a split that belong together, because they share text or a group.

The rows of a cluster are scored together: a model that is right about a phrase is more often right
about the sentence around it. Intervals therefore count clusters, not rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from distill_runner.data.phrases import SHARED_WORDS, Phrases
from distill_runner.data.readers.labelled_rows import Rows
from distill_runner.data.texts import folded_words


def cluster_rows(rows: Rows) -> list[int]:
    """Return the number of each row's cluster, 0, 1, …, in the order of their first rows.

    Rows are in one cluster if they have the same group. Without groups, pairs are in one cluster
    if they share a text (one premise, one question), and single texts if one contains the other,
    directly or through further rows. Only texts of `SHARED_WORDS` words or more count as shared.
    """
    if rows.groups is not None:
        return _numbered(rows.groups)
    firsts = [folded_words(text) for text in rows.texts]
    if rows.pairs is None:
        links = enumerate(Phrases(firsts).inside)
        return _components(len(rows), ((row, other) for row, inner in links for other in inner))
    seconds = [folded_words(text) for text in rows.pairs]
    return _components(len(rows), [*_same_text(firsts), *_same_text(seconds)])


def _numbered(names: Sequence[str]) -> list[int]:
    numbers: dict[str, int] = {}
    return [numbers.setdefault(name, len(numbers)) for name in names]


def _same_text(texts: Sequence[str]) -> Iterable[tuple[int, int]]:
    """Yield pairs of neighbouring rows that have the same text."""
    rows_with: dict[str, list[int]] = defaultdict(list)
    for row, text in enumerate(texts):
        if len(text.split(" ")) >= SHARED_WORDS:
            rows_with[text].append(row)
    for rows in rows_with.values():
        yield from pairwise(rows)


def _components(rows: int, links: Iterable[tuple[int, int]]) -> list[int]:
    """Number the connected components of the rows."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = np.array(list(links), dtype=np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(rows, rows))
    _, found = connected_components(graph, directed=False)
    return _numbered([str(number) for number in found])
