"""A draw: a command line, the files that it needs, and the expected outcome."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

# One row as somebody who reads the file by hand would note it: its texts, then its label.
Row = tuple[str, ...]

SHRUNK = (
    "profile=tiny",
    "tracker=none",
    "runtime.device=cpu",
    "runtime.processes=1",
    "runtime.threads=1",
)
# For the generated corpora, where there are any.
FEW_ROWS = (
    "dataset.generate=160",
    "dataset.split.train=48",
    "dataset.split.quiz=8",
    "dataset.split.validation=32",
    "dataset.split.test=40",
)


@dataclass
class Case:
    """One draw.

    Attributes:
        kind: of which generator.
        what: in words, for the report.
        command: the overrides.
        expected: "done" (exit 0), "refused" (exit 2), or "either".
        rows: what the labelled files hold, where that is known; a run that accepts them must have
            read exactly these.
        depth: "preflight" ends before the first step, "models" loads the learners too, "train"
            makes the steps, "command" does so through the real command.
        twin: a folder with the undamaged run's output, to be equalled byte by byte.
    """

    kind: str
    what: str
    command: list[str]
    expected: Literal["done", "refused", "either"] = "either"
    rows: list[Row] | None = None
    depth: Literal["preflight", "models", "train", "command"] = "preflight"
    twin: Path | None = None
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """Where a draw may put its files, and what is ready for all draws.

    Attributes:
        folder: of this draw alone; the command runs in it.
        ready: stores and models that were made once; never written to.
    """

    folder: Path
    ready: Path


Generator = Callable[[random.Random, Place], Case]


def words(rng: random.Random, count: int) -> str:
    """`count` plain words."""
    return " ".join(rng.choice(WORDS) for _ in range(count))


WORDS = (
    "a", "the", "film", "plot", "actor", "scene", "slow", "bright", "dull", "warm", "cold",
    "not", "never", "very", "quite", "rather", "good", "bad", "fine", "poor", "long", "short",
    "old", "new", "story", "music", "it", "was", "is", "seems", "feels", "and", "but", "though",
    "while", "one",
)  # fmt: skip


def pick(rng: random.Random, items: Sequence[str]) -> str:
    return items[rng.randrange(len(items))]
