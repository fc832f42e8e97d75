"""How right the models of a run still are where the words of the test rows are disturbed.

A row is disturbed once for each kind and strength, by its id: every model reads the same text,
each in its own tokens (and a masked word as its own mask token), so that models can be compared
row by row. The words hit are the same for every kind, and those of a strength are among those
of any greater one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from distill_runner.config.schema import Noise, NoiseKind, NoiseSeenBy
from distill_runner.evaluation.metrics.intervals import paired_rows_interval
from distill_runner.results.measurements import NoiseScore
from distill_runner.results.scores import Difference

KINDS = tuple(kind for kind in NoiseKind if kind is not NoiseKind.none)

STUDENT = "student"  # its column


def noises(strengths: Iterable[float], *, word: str) -> list[Noise]:
    """Every kind of noise at every strength, kind by kind.

    Args:
        strengths: chance of each word, 0..1.
        word: what `replace_word` puts in.
    """
    strengths = list(strengths)
    return [
        Noise(kind=kind, p=p, seen_by=NoiseSeenBy.both, word=word)
        for kind in KINDS
        for p in strengths
    ]


def compared(
    logits: Mapping[str, Sequence[np.ndarray]],
    labels: np.ndarray,
    *,
    noises: Sequence[Noise],
    against: str | None,
) -> tuple[NoiseScore, ...]:
    """Accuracy of every model, clean and under each noise, and the student's lead over one.

    Args:
        logits: by model, of which one is `STUDENT`; each first on the clean rows, then under
            each noise. [rows, classes].
        labels: [rows].
        noises: in the order of the logits behind the first.
        against: the model that the student is compared with; None: none.

    Returns:
        One entry for the clean rows and one for each noise; accuracies and differences are
        shares, 0..1, and the difference has its 95% interval, paired over the rows.
    """
    found = []
    for at, noise in enumerate([Noise(), *noises]):
        right = {name: each[at].argmax(axis=-1) == labels for name, each in logits.items()}
        found.append(
            NoiseScore(
                noise=noise.kind.value,
                p=noise.p,
                accuracy={name: float(each.mean()) for name, each in right.items()},
                difference=None if against is None else _lead(right[STUDENT], right[against]),
            )
        )
    return tuple(found)


def _lead(ours: np.ndarray, theirs: np.ndarray) -> Difference:
    interval = paired_rows_interval(ours, theirs)
    return Difference(
        difference=float(ours.mean() - theirs.mean()), low=interval.low, high=interval.high
    )
