"""Computes a learner's logits on the rows of a split."""

from __future__ import annotations

import numpy as np
import torch

from distill_runner.data.encoding import View
from distill_runner.models.learner import Learner

_BATCH = 64


def predict(
    learner: Learner,
    view: View,
    *,
    device: torch.device,
    bf16: bool,
    rows: np.ndarray | None = None,
) -> np.ndarray:
    """Return the learner's logits on rows of the view, in their order. [rows, classes].

    Args:
        rows: positions in the view; None: all rows.
    """
    asked = np.arange(len(view.lengths)) if rows is None else rows
    order = np.argsort(view.lengths[asked], kind="stable")
    parts = []
    with (
        learner.evaluating(),
        torch.inference_mode(),
        torch.autocast(device.type, torch.bfloat16, enabled=bf16),
    ):
        for at in range(0, len(order), _BATCH):
            inputs = view.inputs(asked[order[at : at + _BATCH]], 0)
            parts.append(learner.logits(learner.on_device(inputs, device)))
    sorted_logits = torch.cat(parts).cpu().numpy()
    logits = np.empty_like(sorted_logits)
    logits[order] = sorted_logits
    return logits
