"""Scores the models of a run on test rows with noise in their words.

The noise of a row depends on the row's id, the kind and the strength. Every model reads the same
text in its own tokens (a masked word as its own mask token), so models can be compared row by
row. All kinds hit the same words, and a greater strength also hits the words of a smaller one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from distill_runner.config.schema import Noise, NoiseKind, NoiseSeenBy
from distill_runner.evaluation.metrics.clusters import mean_contributions
from distill_runner.evaluation.metrics.estimate import interval_over_clusters
from distill_runner.results.measurements import NoiseScore
from distill_runner.results.scores import Difference

KINDS = tuple(kind for kind in NoiseKind if kind is not NoiseKind.none)

STUDENT = "student"  # its column


def every_noise(strengths: Iterable[float], *, word: str) -> list[Noise]:
    """Return every kind of noise at every strength, kind by kind.

    Args:
        strengths: probabilities that a word is hit, 0..1.
        word: the word that `replace_word` inserts.
    """
    strengths = list(strengths)
    return [
        Noise(kind=kind, p=p, seen_by=NoiseSeenBy.both, word=word)
        for kind in KINDS
        for p in strengths
    ]


def score_under_noise(
    logits: Mapping[str, Sequence[np.ndarray]],
    labels: np.ndarray,
    clusters: np.ndarray,
    *,
    noises: Sequence[Noise],
    against: str | None,
) -> tuple[NoiseScore, ...]:
    """Score every model, clean and under each noise, and the student's lead over one of them.

    Args:
        logits: [rows, classes] by model, one of which is `STUDENT`; first on the clean rows,
            then under each noise.
        labels: [rows].
        clusters: [rows], the number of each row's cluster.
        noises: in the order of the noisy logits.
        against: the model to compare the student with; None: no comparison.

    Returns:
        One entry for the clean rows and one for each noise; accuracies and differences are
        shares, 0..1, and the difference has its 95% interval, paired over the clusters.
    """
    found = []
    for at, noise in enumerate([Noise(), *noises]):
        right = {name: each[at].argmax(axis=-1) == labels for name, each in logits.items()}
        found.append(
            NoiseScore(
                noise=noise.kind.value,
                p=noise.p,
                accuracy={name: float(each.mean()) for name, each in right.items()},
                difference=None
                if against is None
                else _lead(right[STUDENT], right[against], clusters),
            )
        )
    return tuple(found)


def _lead(ours: np.ndarray, theirs: np.ndarray, clusters: np.ndarray) -> Difference:
    leads = ours.astype(float) - theirs
    interval = interval_over_clusters(mean_contributions(leads, clusters))
    return Difference(
        difference=float(ours.mean() - theirs.mean()), low=interval.low, high=interval.high
    )
