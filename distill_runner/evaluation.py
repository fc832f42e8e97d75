"""A learner's logits over a split, and what they are worth."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
import torch

from distill_runner.data.encoding import View
from distill_runner.models.learner import Learner

_BATCH = 64


@dataclass(frozen=True)
class Score:
    """Accuracy on a split with Wilson's 95% interval; shares in 0..1."""

    accuracy: float
    n: int
    low: float
    high: float
    macro_f1: float

    def as_dict(self) -> dict[str, float | int]:
        return asdict(self)


def predict(learner: Learner, view: View, *, device: torch.device, bf16: bool) -> np.ndarray:
    """The learner's logits on every row of the view, in the view's order. [rows, classes]."""
    order = np.argsort(view.lengths, kind="stable")
    parts = []
    with (
        learner.evaluating(),
        torch.inference_mode(),
        torch.autocast(device.type, torch.bfloat16, enabled=bf16),
    ):
        for at in range(0, len(order), _BATCH):
            inputs = view.inputs(order[at : at + _BATCH], 0)
            on_device = {name: tensor.to(device) for name, tensor in inputs.items()}
            parts.append(learner.logits(on_device))
    sorted_logits = torch.cat(parts).cpu().numpy()
    logits = np.empty_like(sorted_logits)
    logits[order] = sorted_logits
    return logits


def score(logits: np.ndarray, labels: np.ndarray) -> Score:
    """Accuracy and macro F1 of the largest logit. logits: [rows, classes]; labels: [rows]."""
    from distill_runner.intervals import proportion_interval

    predictions = logits.argmax(axis=-1)
    right = int((predictions == labels).sum())
    found = _classification().compute(
        predictions=predictions.tolist(), references=labels.tolist(), classes=logits.shape[-1]
    )
    interval = proportion_interval(right, len(labels))
    return Score(found["accuracy"], len(labels), interval.low, interval.high, found["macro_f1"])


@cache
def _classification() -> Any:
    """Our own metric on evaluate's base class: nothing is downloaded."""
    import datasets
    import evaluate

    class Classification(evaluate.Metric):  # type: ignore[misc]
        def _info(self) -> Any:
            return evaluate.MetricInfo(
                description="Accuracy and macro F1 of class predictions.",
                citation="",
                features=datasets.Features(
                    {"predictions": datasets.Value("int64"), "references": datasets.Value("int64")}
                ),
            )

        def _compute(
            self, predictions: list[int], references: list[int], classes: int
        ) -> dict[str, float]:
            table = np.zeros((classes, classes))
            np.add.at(table, (np.asarray(references), np.asarray(predictions)), 1)
            hits = np.diag(table)
            both = table.sum(axis=0) + table.sum(axis=1)
            # A class that neither occurs nor is predicted has no F1 and does not count.
            f1 = 2 * hits[both > 0] / both[both > 0]
            return {
                "accuracy": float(hits.sum() / table.sum()),
                "macro_f1": float(f1.mean()),
            }

    return Classification(keep_in_memory=True)
