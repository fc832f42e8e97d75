"""Reads one line of a file of answers: which row it names, and what it answers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from distill_runner.data.texts import text_sha256
from distill_runner.tasks.base import Task

KINDS = ("label", "probabilities", "logits")
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")
_NAMES_SHOWN = 12


@dataclass(frozen=True)
class Given:
    """One answer.

    Args:
        digest: of the row's texts; None if only its id is known.
        id: of the row; empty if the digest is known.
        logits: [outputs] float32.
    """

    digest: bytes | None
    id: str
    logits: np.ndarray


class Reader:
    """Reads the lines of one file in order.

    Attributes:
        names: of the data's outputs, in order.
        labels: how many lines answered with a label that is no score.

    Args:
        task: of the data.
        names: of the data's outputs, in order.
        pairs: whether a row has two texts.
    """

    def __init__(self, task: Task, names: Sequence[str], pairs: bool) -> None:
        self.labels = 0
        self._task = task
        self.names = tuple(names)
        self._pairs = pairs
        self._order: list[int] | None = None  # of the header's classes among the data's

    @property
    def rule(self) -> str:
        """What a line must hold, for refusals."""
        shown = [name[:40] for name in self.names[:_NAMES_SHOWN]]
        more = [f"{len(self.names) - _NAMES_SHOWN} more"] if len(self.names) > len(shown) else []
        texts = "text and text_pair" if self._pairs else "text"
        return (
            f"{texts}, text_sha256 or id of a row, and one of {', '.join(KINDS)}; "
            f"outputs of the data: {', '.join(shown + more)}"
        )

    def read(self, cells: Mapping[str, object]) -> Given | None:
        """Return the answer of a line; None for a line that only names the classes.

        Raises:
            ValueError: the line is malformed; the message says why.
        """
        order = self._order
        if "classes" in cells:
            order = self._order_of(cells["classes"])
        kinds = [kind for kind in KINDS if cells.get(kind) is not None]
        if not kinds and "classes" in cells:
            self._order = order
            return None
        if len(kinds) != 1:
            has = " and ".join(kinds) if kinds else "no answer"
            raise ValueError(f"it has {has}, where one of {', '.join(KINDS)} belongs")
        digest, id = self._row_of(cells)
        logits = self._logits(kinds[0], cells[kinds[0]], order).astype(np.float32)
        if not np.isfinite(logits).all():
            raise ValueError(f"its {kinds[0]} are not finite numbers of 32 bits")
        return Given(digest, id, logits)

    # --- the row ---

    def _row_of(self, cells: Mapping[str, object]) -> tuple[bytes | None, str]:
        """Return the digest of the line's text; without one, the row's id."""
        texts, digest = self._texts_of(cells), cells.get("text_sha256")
        if digest is not None and not (isinstance(digest, str) and _DIGEST.fullmatch(digest)):
            raise ValueError("text_sha256 is not 64 hexadecimal digits")
        if texts is not None:
            known = text_sha256(texts)
            if isinstance(digest, str) and digest.lower() != known:
                raise ValueError("text_sha256 is not the digest of its text")
            return bytes.fromhex(known), ""
        if isinstance(digest, str):
            return bytes.fromhex(digest), ""
        id = cells.get("id")
        if isinstance(id, bool) or not isinstance(id, str | int) or id == "":
            raise ValueError("it names no row: it has no text, no text_sha256 and no id")
        return None, str(id)

    def _texts_of(self, cells: Mapping[str, object]) -> list[str] | None:
        wanted = ("text", "text_pair") if self._pairs else ("text",)
        found = [cells.get(name) for name in wanted]
        if cells.get("text") is None:
            return None
        if not self._pairs and cells.get("text_pair") is not None:
            raise ValueError("it has a text_pair, and the rows of the data have one text")
        texts = [text for text in found if isinstance(text, str)]
        if len(texts) < len(wanted):
            raise ValueError(f"{' or '.join(wanted)} is not a text")
        return texts

    # --- the answer ---

    def _order_of(self, classes: object) -> list[int]:
        """Return the position among the data's outputs of each of the file's classes."""
        if not isinstance(classes, list) or not all(isinstance(one, str) for one in classes):
            raise ValueError("its classes are not a list of names")
        self._check_names(classes)
        return [self.names.index(name) for name in classes]

    def _check_names(self, found: Sequence[str]) -> None:
        """Refuse names other than those of the data, each once."""
        if unknown := [name for name in found if name not in self.names]:
            raise ValueError(f"{unknown[0][:60]!r} is no class of the data")
        if missing := [name for name in self.names if name not in found]:
            raise ValueError(f"the class {missing[0][:60]!r} is missing")
        if len(found) != len(self.names):
            raise ValueError("a class is named twice")

    def _logits(self, kind: str, answer: object, order: list[int] | None) -> np.ndarray:
        if kind == "label":
            logits = self._task.logits_of_label(answer, self.names)
            # A score is its own logit.
            self.labels += self._task.rules.no_probabilities is None
            return logits
        numbers = self._numbers(kind, answer, order)
        if kind == "logits":
            return numbers
        if not ((numbers >= 0) & (numbers <= 1)).all():
            raise ValueError("a probability is not in 0..1")
        return self._task.logits_of_probabilities(numbers)

    def _numbers(self, kind: str, answer: object, order: list[int] | None) -> np.ndarray:
        """Return one number for each of the data's outputs, in their order. [outputs]."""
        if isinstance(answer, Mapping):
            self._check_names([str(name) for name in answer])
            return np.array([_number(kind, answer[name]) for name in self.names])
        if not isinstance(answer, list):
            raise ValueError(f"its {kind} are neither an object by class nor a list")
        if len(answer) != len(self.names):
            count = len(self.names)
            raise ValueError(f"it has {len(answer)} {kind}, and the data have {count} outputs")
        if order is None and len(self.names) > 1:
            raise ValueError(
                f'its {kind} are a list, and no line names their order: {{"classes": […]}}'
            )
        numbers = np.empty(len(answer))
        numbers[order or [0]] = [_number(kind, one) for one in answer]
        return numbers


def _number(kind: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{str(value)[:40]!r} among its {kind} is no number")
    try:
        return float(value)
    except OverflowError as error:
        raise ValueError(f"a number among its {kind} is too large") from error
