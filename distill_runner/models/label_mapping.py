"""Maps a classifier's outputs to the data set's classes by name."""

from __future__ import annotations

import re
from collections.abc import Sequence

from distill_runner.errors import Refused


def columns_for(classes: Sequence[str], own: Sequence[str], *, name: str) -> tuple[int, ...] | None:
    """Return the index of a classifier's output for class 0, 1, … of the data set.

    A teacher's output 0 need not be the data set's class 0.

    Args:
        classes: the data set's classes, in order.
        own: the names of the classifier's outputs, in order.
        name: the classifier's name in messages.

    Returns:
        One index per class; None if both orders agree.

    Raises:
        Refused: the names are placeholders (LABEL_0), or one of the classes is missing.
    """
    if list(own) == list(classes):
        return None
    if all(re.fullmatch(r"LABEL_\d+", label) for label in own) and len(own) > 0:
        raise Refused(
            f"{name} does not say which of its outputs is which class.",
            key="teacher.labels",
            value=None,
            rule=f"the names of its {len(own)} outputs in order, from {', '.join(classes)}",
            way_out=f"teacher.labels=[{','.join(classes)}]  if that is their order",
        )
    # An exact name wins over one that differs in case.
    at = {label.casefold(): index for index, label in reversed(list(enumerate(own)))}
    exact = {label: index for index, label in enumerate(own)}
    indices = {label: exact.get(label, at.get(label.casefold())) for label in classes}
    missing = [label for label, index in indices.items() if index is None]
    if missing:
        raise Refused(
            f"{name} does not know the label {missing[0]!r} of the data set.",
            key="dataset.label_names",
            value=list(classes),
            rule=f"labels that the teacher knows: {', '.join(own)}",
            way_out="dataset.label_names=[…], teacher.labels=[…] or teacher.finetune=always",
        )
    columns = tuple(index for index in indices.values() if index is not None)
    if len(set(columns)) < len(columns):
        raise Refused(
            f"Two labels of the data set map to one label of {name}.",
            key="dataset.label_names",
            value=list(classes),
            rule="a different output of the teacher for each label",
            way_out="teacher.labels=[…] with their exact names",
        )
    return None if columns == tuple(range(len(own))) else columns
