"""Cuts labelled rows into train, quiz, validation and test.

The splits are a pure function of the rows, the settings and `split_seed`. Every split has its own
generator and the test rows are drawn first, so a larger training split does not change the test
rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from distill_runner.config import schema
from distill_runner.data.groups import whole_groups, without_groups
from distill_runner.data.phrases import Phrases, whole_phrases
from distill_runner.data.readers.label_reader import Value
from distill_runner.data.readers.labelled_rows import Rows
from distill_runner.data.texts import folded_words
from distill_runner.errors import Refused

if TYPE_CHECKING:
    from numpy.random import Generator

DRAWN = ("test", "validation", "quiz", "train")  # in this order
DEFAULT_SHARE = 0.1  # of the pool, for a held-out split without a file


@dataclass(frozen=True)
class Cut:
    """The rows of each split ("rest": left over), and the number dropped by reason."""

    splits: dict[str, Rows]
    dropped: dict[str, int]


def normalise_texts(rows: Rows) -> list[str]:
    """Return each row's text as it is compared: case-folded words without punctuation."""
    firsts = [folded_words(text) for text in rows.texts]
    if rows.pairs is None:
        return firsts
    seconds = [folded_words(text) for text in rows.pairs]
    return [f"{first}\t{second}" for first, second in zip(firsts, seconds, strict=True)]


def cut(
    files: dict[str, Rows],
    split: schema.Split,
    *,
    seed: int,
    by_class: bool = True,
) -> Cut:
    """Cut the files' rows into splits.

    Validation and test files are used whole, unless `split` gives a number: then the rows are
    drawn from the training file instead. Extra files are always used whole. The validation file
    loses the rows that also occur in a test or an extra file.

    The training file loses texts with two different labels, repetitions of a text, and rows
    that occur in a held-out file. The scheme "grouped" also drops texts that contain a validation
    or test text or are contained in one, if the contained text has `phrases.SHARED_WORDS` or more
    words. If the rows have groups, no group occurs in two splits.

    Args:
        seed: `dataset.split_seed`.
        by_class: draw each class in proportion; otherwise ignore the labels.

    Raises:
        Refused: a number is invalid or too large, or the validation file has only test rows.
    """
    _check_seed(seed)
    official = _official(files, split)
    train = files["train"]
    texts = normalise_texts(train)
    pool, dropped = _pool(texts, train, official)
    sizes = _sizes(split, len(pool), official)
    pool.sort(key=texts.__getitem__)  # the draw depends on the set of rows, not on their order
    drawn: dict[str, list[int]] = {}
    if schema.SplitScheme(split.scheme) is schema.SplitScheme.grouped:
        before = len(pool)
        drawn, pool = _draw_grouped(texts, pool, official, sizes, split, seed)
        dropped["dropped_touching"] = before - len(pool) - sum(map(len, drawn.values()))
    # Nearly every score or set of labels would be its own class.
    classes = train.labels if by_class else [0] * len(train)
    for turn, name in enumerate(DRAWN):
        if name not in official and name not in drawn:
            count = _available(split, name, sizes[name], len(pool))
            generator = np.random.default_rng([seed, turn])
            drawn[name] = _draw(pool, classes, train.groups, count, generator)
            pool = _without(pool, drawn[name])
    if not drawn["train"] and sizes["train"] != 0:
        raise _short(split, "train", "No rows are left to train on.")
    rows = {name: train.take(sorted(chosen)) for name, chosen in drawn.items()}
    return Cut(splits=rows | official | {"rest": train.take(sorted(pool))}, dropped=dropped)


def _official(files: dict[str, Rows], split: schema.Split) -> dict[str, Rows]:
    """Return the files that are used whole as splits."""
    set_aside = {"train"} | {n for n in ("validation", "test") if getattr(split, n) is not None}
    named = [name for name in ("validation", "test") if name in files]
    return {name: files[name] for name in [*named, *files] if name not in set_aside}


def _leave_to_test(official: dict[str, Rows]) -> int:
    """Remove the rows of test and extra files from the validation file, and count them."""
    if "validation" not in official:
        return 0
    others = [found for name, found in official.items() if name != "validation"]
    tested = {text for found in others for text in normalise_texts(found)}
    rows = official["validation"]
    kept = [n for n, text in enumerate(normalise_texts(rows)) if text not in tested]
    if rows.groups is not None:
        kept = without_groups(kept, rows.groups, others)
    if len(kept) == len(rows):
        return 0
    if not kept:
        raise Refused(
            "Every row of the validation file is also in a test file.",
            key="dataset.split.validation",
            value=None,
            rule="validation and test rows must differ",
            way_out="dataset.split.validation=0.1, which cuts it from the training file",
        )
    official["validation"] = rows.take(kept)
    return len(rows) - len(kept)


def _pool(
    texts: list[str], train: Rows, official: dict[str, Rows]
) -> tuple[list[int], dict[str, int]]:
    """Return the positions of the rows that may be drawn, and the number dropped by reason."""
    shared = _leave_to_test(official)
    pool, dropped = _distinct(texts, train.labels, held_out=official.values())
    if shared:
        dropped["dropped_from_validation"] = shared
    if train.groups is not None:
        before = len(pool)
        pool = without_groups(pool, train.groups, official.values())
        dropped["dropped_same_group"] = before - len(pool)
    return pool, dropped


def _distinct(
    texts: list[str], labels: Sequence[Value], *, held_out: Iterable[Rows]
) -> tuple[list[int], dict[str, int]]:
    """Return a position of each text with one label that is not held out, and what is dropped."""
    kept: dict[str, int] = {}
    ambiguous: set[str] = set()
    for position, text in enumerate(texts):
        first = kept.setdefault(text, position)
        if labels[first] != labels[position]:
            ambiguous.add(text)
    both_labels = sum(text in ambiguous for text in texts)
    taken = {text for rows in held_out for text in normalise_texts(rows)}
    pool = [kept[text] for text in kept if text not in ambiguous and text not in taken]
    return pool, {
        "dropped_both_labels": both_labels,
        "dropped_duplicates": len(texts) - both_labels - len(pool),
        "dropped_touching": 0,
    }


def _sizes(split: schema.Split, pool: int, official: Iterable[str]) -> dict[str, int | None]:
    """Return the number of rows to draw for each split; None for all that are left."""
    sizes: dict[str, int | None] = {}
    shares = 0.0
    for name in DRAWN:
        size: float | None = getattr(split, name)
        if name in official:
            sizes[name] = 0
        elif size is None:
            sizes[name] = None if name == "train" else max(1, round(DEFAULT_SHARE * pool))
        elif not math.isfinite(size) or size < 0 or (size >= 1 and size != int(size)):
            raise _short(split, name, f"{size} is neither a share nor a number of rows.")
        elif 0 < size < 1:
            shares += size
            sizes[name] = max(1, round(size * pool))
        else:
            sizes[name] = int(size)
    if shares > 1 + 1e-9:
        raise _short(split, "train", f"The shares add up to {shares:g}, which is more than 1.")
    return sizes


def _available(split: schema.Split, name: str, size: int | None, left: int) -> int:
    """Return the number of rows to draw; a share is limited to the rows that are left.

    Raises:
        Refused: a number of rows is requested, and fewer are left.
    """
    given: float | None = getattr(split, name)
    if size is not None and size > left and given is not None and given >= 1:
        raise _short(split, name, f"{size} {name} rows are requested, but only {left} are left.")
    return left if size is None else min(size, left)


def _stratified(
    pool: list[int], labels: Sequence[Value], count: int, generator: Generator
) -> list[int]:
    """Draw `count` rows, each class in proportion, by the method of largest remainders."""
    if not count:
        return []
    order = generator.permutation(len(pool))
    by_class: dict[Value, list[int]] = {}
    for n in order:
        by_class.setdefault(labels[pool[n]], []).append(pool[n])
    classes = sorted(by_class)
    exact = {c: divmod(count * len(by_class[c]), len(pool)) for c in classes}
    missing = count - sum(whole for whole, _ in exact.values())
    rounded_up = sorted(classes, key=lambda c: -exact[c][1])[:missing]
    return [row for c in classes for row in by_class[c][: exact[c][0] + (c in rounded_up)]]


def _draw_grouped(
    texts: list[str],
    pool: list[int],
    official: dict[str, Rows],
    sizes: dict[str, int | None],
    split: schema.Split,
    seed: int,
) -> tuple[dict[str, list[int]], list[int]]:
    """Draw test and validation rows that share no phrase with the remaining pool."""
    outside = [text for rows in official.values() for text in normalise_texts(rows)]
    phrases = Phrases([texts[n] for n in pool] + outside)
    # From here on rows are indices into `phrases`; the pool's rows come first, in order.
    alive = _without(range(len(pool)), phrases.touching(range(len(pool), len(phrases))))
    drawn: dict[str, list[int]] = {}
    for turn, name in enumerate(DRAWN[:2]):
        if name in official:
            continue
        size = _available(split, name, sizes[name], len(alive))
        chosen = whole_phrases(phrases, alive, size, np.random.default_rng([seed, turn]))
        if len(chosen) < size:
            what = f"{size} {name} rows are requested, but whole phrases give {len(chosen)}."
            raise _short(split, name, what)
        drawn[name] = [pool[n] for n in chosen]
        alive = _without(alive, phrases.touching(chosen) | set(chosen))
    return drawn, [pool[n] for n in alive]


def _draw(
    pool: list[int],
    classes: Sequence[Value],
    groups: Sequence[str] | None,
    count: int,
    generator: Generator,
) -> list[int]:
    """Draw whole groups if the rows have groups, else each class in proportion."""
    if groups is not None:
        return whole_groups(pool, groups, count, generator)
    return _stratified(pool, classes, count, generator)


def _without(pool: Iterable[int], rows: Iterable[int]) -> list[int]:
    gone = set(rows)
    return [row for row in pool if row not in gone]


def _check_seed(seed: int) -> None:
    if seed < 0:
        raise Refused(
            "The split's seed is negative.",
            key="dataset.split_seed",
            value=seed,
            rule="a whole number, 0 or more",
            way_out="dataset.split_seed=1",
        )


def _short(split: schema.Split, name: str, what: str) -> Refused:
    return Refused(
        what,
        key=f"dataset.split.{name}",
        value=getattr(split, name),
        rule="a share below 1, or a number of rows that remain after dropping",
        way_out=f"a smaller dataset.split.{name}, or fewer rows for the other splits",
    )
