"""The check that all losses between two models share."""

from __future__ import annotations

from torch import Tensor


def check_shapes(student_logits: Tensor, teacher_logits: Tensor) -> None:
    """Refuse logits that would be broadcast to a common shape.

    Raises:
        ValueError: the two shapes differ.
    """
    if student_logits.shape != teacher_logits.shape:
        raise ValueError(
            "student and teacher logits must agree in shape, got "
            f"{tuple(student_logits.shape)} and {tuple(teacher_logits.shape)}"
        )
