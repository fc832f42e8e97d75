"""Turns the answers of a teacher that is a file into logits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

# No answer is certain: a probability of 0 would have an infinite logit.
LEAST = 1e-6
_SUM = 0.02  # by how much rounded probabilities may miss a sum of 1


class TakesAnswers(ABC):
    """A task that turns answers of a teacher that is a file into logits."""

    @abstractmethod
    def logits_of_label(self, label: object, names: Sequence[str]) -> np.ndarray:
        """Return the logits that stand for a label, [outputs].

        Args:
            label: a class, a list of labels, or a score.
            names: names of the outputs.

        Raises:
            ValueError: it is no label of this task; the message says why.
        """

    @abstractmethod
    def logits_of_probabilities(self, probabilities: np.ndarray) -> np.ndarray:
        """Return the logits that stand for probabilities, [outputs], each in 0..1.

        Raises:
            ValueError: they are no probabilities of this task; the message says why.
        """


def position_of(label: object, names: Sequence[str]) -> int:
    """Return the position of a class.

    Args:
        label: its name; a whole number stands for the name with these digits.
        names: of the classes, in order.

    Raises:
        ValueError: there is no such class; the message says so.
    """
    name = str(label) if isinstance(label, int) and not isinstance(label, bool) else label
    if not isinstance(name, str) or name not in names:
        raise ValueError(f"{str(label)[:60]!r} is no class of the data")
    return names.index(name)


def class_logits(probabilities: np.ndarray) -> np.ndarray:
    """Return logits whose softmax is the probabilities, none of them below `LEAST`.

        z = ln(q / Σ q),  q = max(p, LEAST)

    Args:
        probabilities: [classes].

    Raises:
        ValueError: they do not sum to 1.
    """
    total = float(probabilities.sum())
    if abs(total - 1) > _SUM:
        raise ValueError(f"the probabilities sum to {total:.4g}, not to 1")
    raised = np.maximum(probabilities, LEAST)
    logits: np.ndarray = np.log(raised / raised.sum())
    return logits


def label_logits(probabilities: np.ndarray) -> np.ndarray:
    """Return logits whose sigmoids are the probabilities, none nearer to 0 or 1 than `LEAST`.

    Args:
        probabilities: [labels].
    """
    kept = np.clip(probabilities, LEAST, 1 - LEAST)
    logits: np.ndarray = np.log(kept) - np.log1p(-kept)
    return logits


class ClassAnswers(TakesAnswers):
    """The answers are classes."""

    def logits_of_label(self, label: object, names: Sequence[str]) -> np.ndarray:
        probabilities = np.zeros(len(names))
        probabilities[position_of(label, names)] = 1
        return class_logits(probabilities)

    def logits_of_probabilities(self, probabilities: np.ndarray) -> np.ndarray:
        return class_logits(probabilities)


class LabelSetAnswers(TakesAnswers):
    """The answers are sets of labels, each a list of names."""

    def logits_of_label(self, label: object, names: Sequence[str]) -> np.ndarray:
        if not isinstance(label, list):
            raise ValueError('a label is a list of names, such as ["a", "b"] or []')
        probabilities = np.zeros(len(names))
        probabilities[[position_of(one, names) for one in label]] = 1
        return label_logits(probabilities)

    def logits_of_probabilities(self, probabilities: np.ndarray) -> np.ndarray:
        return label_logits(probabilities)


class ScoreAnswers(TakesAnswers):
    """The answers are scores; a score is its own logit."""

    def logits_of_label(self, label: object, names: Sequence[str]) -> np.ndarray:  # noqa: ARG002
        if isinstance(label, bool) or not isinstance(label, int | float):
            raise ValueError(f"{str(label)[:60]!r} is no number")
        return np.array([label], dtype=np.float64)

    def logits_of_probabilities(self, probabilities: np.ndarray) -> np.ndarray:  # noqa: ARG002
        raise ValueError("scores have no probabilities")
